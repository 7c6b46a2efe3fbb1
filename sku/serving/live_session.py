"""What a screen or a command may ask for: answers of variants, and which variants there are. Knows no gradio.

Which weights answer, and on which thread, is `model_loader.py`'s to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sku.core.config import DecodingConfig
from sku.core.records import Answer, ResultRow, Verdict
from sku.core.variants import Variant
from sku.models.pretrained import DEFAULT_BASE, provision_base
from sku.serving.model_loader import ModelLoader, on_worker_thread
from sku.serving.streaming import ColumnState, stream_columns
from sku.serving.variant_catalog import CatalogEntry, list_variants

if TYPE_CHECKING:
    from sku.evaluation.plan import PromptSources
    from sku.serving.token_lens import TokenLens


class LiveSession(ModelLoader):
    """Answers from real weights on this machine."""

    mode = "live"
    why = ""

    def __init__(self, model: str = DEFAULT_BASE) -> None:
        super().__init__(model)
        self._judges: dict[str, Any] = {}
        self._judge_lock = threading.Lock()

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """The base, the shipped adapters and finished runs; with an `owner`, only theirs."""
        return list_variants(owner)

    def answers(self, prompts: Sequence[str], variants: Sequence[str], config: DecodingConfig) -> list[Answer]:
        """All answers of all variants to all prompts, in one batch.

        Raises:
            ValueError: for an unknown variant, or a prompt that is empty or too long.
        """
        from sku.models import generation

        model = self.load()

        def written() -> Iterator[list[generation.PartialAnswer]]:
            asked = _checked(prompts)
            return generation.stream_answers(model, asked, [self.variant(text) for text in variants], config)

        return generation.collect_answers(model, self._steps(written), config)

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[ColumnState]]:
        """Stream the answers of several variants to one prompt; a variant that fails leaves the others alive.

        Yields:
            One column a variant, and within it the newest state of its first sample.

        Raises:
            ValueError: for an empty or over-long prompt.
        """

        def written() -> Iterator[list[ColumnState]]:
            model = self.load()
            (checked,) = _checked([prompt])
            asked: list[tuple[str, Variant | str]] = []
            for text in variants:
                try:
                    asked.append((text, self.variant(text)))
                except (ValueError, OSError) as error:
                    asked.append((text, str(error)))
            return stream_columns(model, checked, asked, config, cancelled)

        yield from self._steps(written)

    @on_worker_thread
    def score(self, pairs: Sequence[tuple[str, str]], variants: Sequence[str], max_tokens: int) -> list[list[float]]:
        """Mean log-probability a token of given answers: a list a pair, a number a variant.

        Args:
            pairs: prompts with answers.
            variants: who judges them likely.
            max_tokens: of prompt and answer together; a longer answer is cut.

        Raises:
            ValueError: for an unknown variant, or a prompt longer than `max_tokens`.
        """
        from sku.models.batching import encode_answer
        from sku.models.likelihood import answer_log_probs

        model = self.load()
        rows = [self.variant(text).coefficients for text in variants]
        table = []
        for prompt, answer in pairs:
            encoded = encode_answer(model.template, prompt, answer, max_tokens)
            table.append(answer_log_probs(model, [encoded] * len(rows), rows))
        return table

    @on_worker_thread
    def lens(self, prompt: str, answer: str, variants: Sequence[str]) -> TokenLens:
        """Log-probability of every token of `answer` under base, and what each variant changes of it.

        Raises:
            ValueError: for an unknown variant, an empty answer, or a prompt as long as the model's context.
        """
        from sku.serving.token_lens import token_lens

        model = self.load()
        if not answer.strip():
            raise ValueError("there is no answer to look at; ask first, or type one")
        return token_lens(
            model, _checked([prompt])[0], answer, [self.variant(text) for text in variants], model.context
        )

    @on_worker_thread
    def divergence(self, prompt: str, answer: str, variants: Sequence[str]) -> list[float]:
        """KL(base || variant) on an answer of the base, nats a token; a number a variant.

        Raises:
            ValueError: for an unknown variant, or a prompt as long as the model's context.
        """
        from sku.serving.token_lens import kl_on_answer

        model = self.load()
        found = [self.variant(text) for text in variants]
        return kl_on_answer(model, _checked([prompt])[0], answer, found, model.context)

    @on_worker_thread
    def judge(self, name: str) -> Any:
        """The judge called `name` (`judges.registry`), made by the first caller.

        Raises:
            ValueError: for an unknown name.
            OSError: if its weights can't be had.
        """
        from sku.judges import registry

        name = registry.short_judge_name(name)
        with self._judge_lock:
            if name not in self._judges:
                self._judges[name] = registry.make_judge(name, self._default_base)
            return self._judges[name]

    @on_worker_thread
    def judged(self, pairs: Sequence[tuple[str, str]], judge: str = "embedded") -> list[Verdict]:
        """What became of answers: broken, refusal, harmful, safe or unjudged.

        Raises:
            ValueError: for an unknown judge, or a prompt that leaves no room in the model's context.
            OSError: if the judge's weights can't be had.
        """
        from sku.judges.verdicts import judge_answers
        from sku.models.likelihood import base_log_probs

        model = self.load()
        return judge_answers(pairs, self.judge(judge), lambda given: base_log_probs(model, given))

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """What the default judge says of several answers to one prompt; raises as `judged` does."""
        return self.judged([(prompt, text) for text in texts])

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
        """Measure variants; what `work` already holds is not done again.

        Raises:
            ValueError: for an unknown variant, judge, source or side.
            Cancelled: if it was cancelled; what is done is kept in `work`.
        """
        from sku.evaluation.evaluate import evaluate_variants
        from sku.evaluation.similarity import similarity_metric

        return evaluate_variants(
            model=self.load(),
            model_name=self.model_name,
            judge=self.judge(judge),
            similarity=None if similarity == "none" else similarity_metric(similarity),
            variants=[self.variant(text) for text in dict.fromkeys(variants)],
            sources=sources,
            side=side,
            decoding=decoding,
            work=work,
            report=report,
            cancelled=cancelled,
        )

    @on_worker_thread
    def zero_difference(self, text: str, prompt: str) -> float:
        """Largest logit difference between the base and the variant's adapter at coefficient 0, computed now.

        A third row runs the adapter at 1, so that the adapter takes part in the forward that is compared.
        """
        import torch

        model = self.load()
        known = self._known(text)
        ids = torch.tensor([model.template.prompt_ids(prompt)] * 2, device=model.device)
        with torch.no_grad():
            with model.rows([{}, {}]) as network:
                base = network(input_ids=ids).logits[0]
            with model.rows([{known.adapter: 0.0}, {known.adapter: 1.0}]) as network:
                zero = network(input_ids=ids).logits[0]
        return float((zero - base).abs().max())

    def _default_base(self) -> Any:
        """The base that the embedded judge lives on: the one that is loaded, or the default one beside it."""
        if self.model_name == DEFAULT_BASE:
            return self.load()
        from sku.models import variant_model

        return variant_model.load_variant_model(provision_base(DEFAULT_BASE, self._say))


def _checked(prompts: Sequence[str]) -> Sequence[str]:
    if any(not prompt.strip() for prompt in prompts):
        raise ValueError("the prompt is empty; write a question")
    return prompts
