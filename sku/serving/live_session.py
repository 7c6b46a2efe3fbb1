"""A session that answers from weights on this machine; `model_loader.py` holds them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer, ResultRow, Verdict
from sku.core.servers import find_server, read_servers
from sku.core.variants import Variant, parse_variant
from sku.judges.protocol import Judge
from sku.models.arithmetic import COMMAND_DEFAULT, Arithmetic
from sku.models.pretrained import DEFAULT_BASE, provision_base
from sku.serving.model_loader import ModelLoader, next_on_worker_thread, on_worker_thread
from sku.serving.session import ModelSession, SessionStatus
from sku.serving.streaming import ColumnState, stream_columns
from sku.serving.variant_catalog import CatalogEntry, list_variants

if TYPE_CHECKING:
    from sku.evaluation.attacks.suite import AttackSources
    from sku.evaluation.plan import PromptSources
    from sku.models.decode_request import PartialAnswer
    from sku.models.remote_model import RemoteModel
    from sku.models.variant_model import VariantModel
    from sku.serving.token_lens import TokenLens


class LiveSession(ModelLoader):
    """Answers from real weights. `session.py` describes the methods that every session has."""

    def __init__(self, model: str = DEFAULT_BASE, arithmetic: Arithmetic = COMMAND_DEFAULT) -> None:
        super().__init__(model, arithmetic)
        self._judges: dict[str, Judge] = {}
        self._judge_lock = threading.Lock()

    @property
    def status(self) -> SessionStatus:
        """Whether the weights are loaded."""
        return SessionStatus("live", self.ready, self.progress, self.error, arithmetic=self.arithmetic)

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """The base, and the shipped adapters and finished runs that fit it; with an `owner`, only their runs."""
        return list_variants(owner, self.fits)

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """All answers of all variants to all prompts: in one batch, or in turn under an attack on the model."""
        model, checked = self.load(), _checked(prompts)
        from sku.models import generation
        from sku.serving import attacked_answers

        found = self.variants(variants)
        if attack.attack.weaken:
            return attacked_answers.answers_in_turn(model, checked, found, config, attack, before)

        def stream() -> Iterator[list[PartialAnswer]]:
            asked = [attacked_answers.asked_under_attack(model, prompt, attack) for prompt in checked]
            own = before or [NO_CONVERSATION] * len(found)
            rows = [(replace(one, before=b), v) for one in asked for v, b in zip(found, own, strict=True)]
            return generation.stream_rows(model, rows, config, batch=self.shared_batch())

        return generation.collect_answers(model, self._steps(stream), config)

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """Stream the answers of several variants to one prompt: in one batch, or in turn if the attack needs that.

        On a page, the questions of all visitors that are being answered share that batch.
        """
        from sku.serving import attacked_answers

        model = self.load()
        (checked,) = _checked([prompt])
        found = list(zip(variants, self._variants_or_errors(variants), strict=True))
        if attack.attack.weaken:
            yield from attacked_answers.stream_in_turn(
                model, checked, found, config, attack, cancelled, self._steps, before
            )
            return

        def stream() -> Iterator[list[ColumnState]]:
            asked = attacked_answers.asked_under_attack(model, checked, attack)
            return stream_columns(model, asked, found, config, cancelled, before, self.shared_batch())

        columns: list[ColumnState] = []
        for columns in self._steps(stream):
            yield columns
        self._note_speed(columns)

    def _note_speed(self, columns: Sequence[ColumnState]) -> None:
        """Tell what chooses the number of threads how fast a question was answered."""
        written = [(column.answer.tokens, column.seconds) for column in columns if column.answer]
        if self._chooser and written:
            self._chooser.after_answer(len(columns), *max(written))

    @next_on_worker_thread
    def _variants_or_errors(self, texts: Sequence[str]) -> list[Variant | str]:
        with self.load().checked_once():
            return [self._variant_or_error(text) for text in texts]

    def _variant_or_error(self, text: str) -> Variant | str:
        try:
            return self.variant(text)
        except (ValueError, OSError) as error:
            return str(error)

    @on_worker_thread
    def score(self, pairs: Sequence[tuple[str, str]], variants: Sequence[str], max_tokens: int) -> list[list[float]]:
        """The mean log-probability a token of given answers: one list a pair, in it one number a variant."""
        from sku.models.batching import encode_answer
        from sku.models.likelihood import answer_log_probs

        model = self.load()
        rows = [one.coefficients for one in self.variants(variants)]
        encoded = [encode_answer(model.template, prompt, answer, max_tokens) for prompt, answer in pairs]
        return [answer_log_probs(model, [one] * len(rows), rows) for one in encoded]

    @on_worker_thread
    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> TokenLens:
        """The log-probability of each token of `answer` under the base, and how each variant changes it."""
        from sku.serving.token_lens import token_lens

        model = self.load()
        if not answer.strip():
            raise ValueError("there is no answer to look at; ask first, or type one")
        found = self.variants(variants)
        return token_lens(model, _checked([prompt])[0], answer, found, model.context, before)

    @on_worker_thread
    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> list[float]:
        """KL(base || variant) on one answer of the base, in nats per token; one number a variant."""
        from sku.serving.token_lens import kl_on_answer

        model = self.load()
        found = self.variants(variants)
        return kl_on_answer(model, _checked([prompt])[0], answer, found, model.context, before)

    @on_worker_thread
    def judge(self, name: str) -> Judge:
        """The judge called `name` (`judges.registry`); the first call makes it.

        Raises:
            ValueError: for an unknown name.
            OSError: if its weights cannot be had.
        """
        from sku.judges import registry

        name = registry.short_judge_name(name)
        with self._judge_lock:
            if name not in self._judges:
                self._judges[name] = registry.make_judge(name, self._default_base)
            return self._judges[name]

    @on_worker_thread
    def judged(self, pairs: Sequence[tuple[str, str]], judge: str = "embedded") -> list[Verdict]:
        """The verdicts of the named judge on prompts with answers."""
        from sku.judges.verdicts import judge_answers
        from sku.models.likelihood import base_log_probs

        model = self.load()
        return judge_answers(pairs, self.judge(judge), lambda given: base_log_probs(model, given), judge_first=True)

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """The default judge's verdicts on several answers to one prompt."""
        return self.judged([(prompt, text) for text in texts])

    @next_on_worker_thread
    def draws_harm(self, prompt: str) -> bool | None:
        """What the shipped probe says of the prompt; None on a base that it was not fitted on."""
        from sku.models import prompt_probe

        model = self.load()
        probe = prompt_probe.load_probe(model, prompt_probe.PROMPT_PROBE)
        return None if probe is None else prompt_probe.draws_harm(model, probe, prompt)

    def evaluate(
        self,
        variants: Sequence[str],
        sources: PromptSources,
        side: str | None,
        decoding: DecodingConfig,
        judge: str,
        work: Path,
        similarity: str = "minilm",
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[ResultRow]:
        """Measure variants, one row each; what `work` already holds is not measured again."""
        from sku.evaluation.evaluate import evaluate_variants
        from sku.evaluation.prompt_sets import read_prompt_sets
        from sku.evaluation.similarity import similarity_metric

        sets = read_prompt_sets(sources, side)  # a fault in the data is found before the base is loaded
        return evaluate_variants(
            model=self.load(),
            model_name=self.model_name,
            judge=self.judge(judge),
            similarity=None if similarity == "none" else similarity_metric(similarity),
            variants=self._measured(variants),
            sets=sets,
            sources=sources,
            side=side,
            decoding=decoding,
            work=work,
            report=report,
            cancelled=cancelled,
        )

    def attack(
        self,
        variants: Sequence[str],
        attacks: tuple[str, ...],
        sources: AttackSources,
        decoding: DecodingConfig,
        judge: str,
        work: Path,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[ResultRow]:
        """Attack variants: one row for each under each attack; the base and a random vector are attacked too."""
        from sku.evaluation.attacks import suite
        from sku.evaluation.plan import measured_variant

        suite.attacked_prompts(sources)  # a fault in the data is found before the base is loaded
        model = self.load()
        named = self._measured(variants)
        subjects = [measured_variant(variant) for variant in suite.with_base(named)]
        control = suite.random_control(subjects[1]) if len(subjects) > 1 else None
        if control:
            subjects.append(measured_variant(self.variant(control)))
        plan = suite.plan_attacks(model, self.model_name, subjects, attacks, sources, decoding)
        return suite.measure_attacks(model, plan, self.judge(judge), work, report, cancelled)

    @on_worker_thread
    def zero_difference(self, text: str, prompt: str) -> float:
        """The largest logit difference between the base and variant `text` at coefficient 0, computed now.

        A second row runs the adapters at coefficient 1, so that they take part in the forward.

        Raises:
            RuntimeError: if the base in memory is not the one that was loaded, so that equal logits would mean nothing.
        """
        import torch

        model = self.load()
        adapters = [self._known(name).adapter for name in parse_variant(text).names]
        model.check_base(f"running {text}")
        ids = torch.tensor([model.template.prompt_ids(prompt)] * 2, device=model.device)
        with torch.no_grad():
            with model.rows([{}, {}]) as network:
                base = network(input_ids=ids).logits[0]
            with model.rows([dict.fromkeys(adapters, 0.0), dict.fromkeys(adapters, 1.0)]) as network:
                zero = network(input_ids=ids).logits[0]
        return float((zero - base).abs().max())

    def _measured(self, texts: Sequence[str]) -> list[Variant | RemoteModel]:
        """The variants that the texts name, and the models behind servers, each once."""
        from sku.models.remote_model import RemoteModel

        servers = {text: parse_variant(text).server for text in dict.fromkeys(texts)}
        here = iter(self.variants([text for text, server in servers.items() if server is None]))
        return [
            next(here) if server is None else RemoteModel(find_server(server, read_servers()))
            for server in servers.values()
        ]

    def _default_base(self) -> VariantModel:
        """The base that the embedded judge needs: the loaded one if it is the default, else the default beside it."""
        if self.model_name == DEFAULT_BASE:
            return self.load()
        from sku.models import variant_model

        return variant_model.load_variant_model(provision_base(DEFAULT_BASE, self._report_progress))


def _checked(prompts: Sequence[str]) -> Sequence[str]:
    if any(not prompt.strip() for prompt in prompts):
        raise ValueError("the prompt is empty; write a question")
    return prompts


if TYPE_CHECKING:

    def _check(session: LiveSession) -> ModelSession:
        return session
