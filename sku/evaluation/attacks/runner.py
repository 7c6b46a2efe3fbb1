"""Attacks the variants of a plan, and keeps what it finds, line by line.

An attack that changes only prompts asks all variants in one batch. One that changes the model takes one variant at a
time, and the change ends with the attack. What has a line is not computed again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sku.core.attacks import NO_ATTACK, Attack
from sku.core.records import AskedPrompt, PromptPair, digest
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_lines import (
    AttackAnswerLine,
    AttackedAnswer,
    CellLines,
    DetailsLine,
    KlLine,
    TokenLogProbsLine,
)
from sku.evaluation.attacks.attacked_likelihood import batches_by_length, given_log_probs, kl_on_answers
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.procedure import (
    AttackContext,
    AttackedModel,
    WeakenProcedure,
    ask_as_it_is,
    find_ask,
    find_weaken,
)
from sku.evaluation.attacks.progress import SuiteProgress, cost
from sku.evaluation.passes import ProgressReport, WorkPasses, chunks
from sku.evaluation.plan import MeasuredVariant
from sku.evaluation.work_lines import VerdictLine, line_key
from sku.judges.protocol import Judge
from sku.models.generation import generate_answers
from sku.models.remote_model import Question, RemoteModel
from sku.models.variant_model import VariantModel


class Wording(NamedTuple):
    """One way in which a prompt is asked."""

    pair: PromptPair
    id: str
    """Tells the wordings of a prompt apart: a hash of what is asked, or, where an attack finds the wording while it
    works, its number."""
    asked: AskedPrompt


class AskedBatch(NamedTuple):
    """Every subject answers every prompt."""

    subjects: list[MeasuredVariant]
    wordings: list[Wording]


class AttackRunner(WorkPasses):
    """Runs all attacks of one plan on one model."""

    def __init__(
        self,
        model: VariantModel,
        plan: AttackPlan,
        work: Path,
        trained: Path,
        report: ProgressReport = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare a runner.

        Args:
            model: holds every adapter of the plan.
            plan: what is attacked.
            work: the folder that keeps the lines.
            trained: the folder that keeps what attacks trained.
            report: called after every batch.
            cancelled: asked before every batch and between the steps of an attack.
        """
        self.progress = SuiteProgress(plan, report)
        super().__init__(model, work, self.progress.report, cancelled)
        self.plan = plan
        self.identities = {str(subject.variant): subject.identity for subject in plan.subjects}
        self.context = AttackContext(
            model, plan.data, plan.harmful, trained, lambda line: self.report({"doing": line}), self.stop_if_cancelled
        )
        self.answers = self.open_lines("attack-answers", AttackAnswerLine)
        self.log_probs = self.open_lines("attack-log-probs", TokenLogProbsLine)
        self.kl = self.open_lines("attack-kl", KlLine)
        self.details = self.open_lines("attack-details", DetailsLine)

    def run(self, judge: Judge) -> dict[tuple[str, str], CellLines]:
        """Run every attack on every subject.

        Returns:
            What was found, by the name of the attack and the variant as a person writes it.

        Raises:
            Cancelled: if `cancelled` said so. The work folder keeps what is done.
        """
        measured = self.plan.measured
        self._say_what_is_left_out()
        to_weaken = {name: self._not_weakened_yet(name, one) for name, one in measured.items() if find_weaken(one)}
        for name, subjects in to_weaken.items():
            self.progress.leave_out(cost(self.plan, measured[name]) * (len(self.plan.subjects) - len(subjects)))
        for number, (name, attack) in enumerate(measured.items()):
            place = f"{attack.label} ({number} of {len(measured) - 1})" if number else attack.label
            units = cost(self.plan, attack)
            weaken = find_weaken(attack)
            if weaken is None:
                self.progress.begin(units * len(self.plan.subjects))
                self.progress.finish(self._ask_all(name, attack, place))
            else:
                for subject in to_weaken[name]:
                    self.progress.begin(units)
                    self._weaken(weaken, name, attack, subject, place)
                    self.progress.finish()
        self.progress.begin(self.progress.todo - self.progress.done)
        verdicts = self._judge(judge)
        return {
            (name, str(subject.variant)): self._cell(name, attack, subject, verdicts)
            for name, attack in measured.items()
            for subject in self.plan.subjects
            if self.plan.applies(attack, subject)
        }

    def _say_what_is_left_out(self) -> None:
        for subject in self.plan.subjects:
            names = [name for name, one in self.plan.measured.items() if not self.plan.applies(one, subject)]
            if names:
                self.report({"doing": f"{subject.variant} is behind a server, so left out: {', '.join(names)}"})

    def wordings(self, attack: Attack) -> Iterator[Wording]:
        """The wordings of every prompt under an attack that changes only prompts."""
        ask = find_ask(attack)
        for pair in (*self.plan.asked(attack), *self.plan.harmless(attack)):
            for one in ask(self.context, pair, **attack.settings) if ask else ask_as_it_is(pair):
                yield Wording(pair, digest(one.text, one.answer_start, length=8), one)

    def _ask_all(self, name: str, attack: Attack, place: str) -> bool:
        """Ask all subjects; False if nothing was missing."""
        asked_servers = [
            self._ask_server(name, attack, subject, subject.remote, place)
            for subject in self.plan.subjects
            if subject.remote is not None and self.plan.applies(attack, subject)
        ]
        local = [subject for subject in self.plan.subjects if subject.remote is None]
        missing = [
            one
            for one in self.wordings(attack)
            if any(self._answer_key(name, attack, s, one.pair, one.id, 0) not in self.answers for s in local)
        ]
        missing.sort(key=lambda one: len(one.asked.text))
        size = max(1, self.plan.rows // (len(local) * attack.samples))
        batches = [AskedBatch(local, some) for some in chunks(missing, size)]
        self.run_pass(f"{place}: writing answers", batches, lambda b: self._write(name, attack, b, {}), self.answers)
        if name == NO_ATTACK:
            for subject in local:
                as_it_is = AttackedModel(self.model, subject.variant.coefficients)
                self._score(name, attack, subject, as_it_is, f"{place}: {subject.variant}")
        return bool(batches) or any(asked_servers)

    def _ask_server(self, name: str, attack: Attack, subject: MeasuredVariant, remote: RemoteModel, place: str) -> bool:
        """Let a model behind a server write the answers that are missing; False if none was."""
        config = self.plan.decoding_under(attack)
        wanted = {
            self._answer_key(name, attack, subject, one.pair, one.id, sample): Question(one.asked, sample)
            for one in self.wordings(attack)
            for sample in range(config.samples)
        }
        missing = {key: question for key, question in wanted.items() if key not in self.answers}
        keys, questions = list(missing), list(missing.values())

        def lines() -> Iterator[AttackAnswerLine]:
            for i, one in remote.ask_each(questions, config):
                asked, stopped = questions[i].asked, one.stopped or "cancelled"
                yield AttackAnswerLine(
                    keys[i], str(subject.variant), asked.prompt, asked.text, asked.answer_start, one.text, one.tokens,
                    stopped, one.seconds,
                )  # fmt: skip

        self.ask_server(f"{place}: asking {subject.variant}", lines(), len(keys), self.answers)
        return bool(keys)

    def _not_weakened_yet(self, name: str, attack: Attack) -> list[MeasuredVariant]:
        """The subjects on which an attack that changes the model is still to be carried out."""
        return [
            subject
            for subject in self.plan.subjects
            if self.plan.applies(attack, subject) and self._key(name, attack, subject, "details") not in self.details
        ]

    def _weaken(self, weaken: WeakenProcedure, name: str, attack: Attack, subject: MeasuredVariant, place: str) -> None:
        """Attack one subject, and keep what was found."""
        self.stop_if_cancelled()
        place = f"{place}: {subject.variant}"
        self.report({"doing": place})
        with weaken(self.context, subject.variant, **attack.settings) as attacked:
            if attack.answers:
                self._answer_attacked(name, attack, subject, attacked, place)
                self._score(name, attack, subject, attacked, place)
            self.details.add([DetailsLine(self._key(name, attack, subject, "details"), attacked.details)])

    def _answer_attacked(
        self, name: str, attack: Attack, subject: MeasuredVariant, attacked: AttackedModel, place: str
    ) -> None:
        missing = [
            Wording(pair, str(number), asked)
            for pair in self.plan.asked(attack)
            for number, asked in enumerate(attacked.ask(pair))
            if self._answer_key(name, attack, subject, pair, str(number), 0) not in self.answers
        ]
        missing.sort(key=lambda one: len(one.asked.text))
        batches = [AskedBatch([subject], some) for some in chunks(missing, self.plan.rows)]
        under = {str(subject.variant): attacked}
        self.run_pass(f"{place}: writing answers", batches, lambda b: self._write(name, attack, b, under), self.answers)

    def _write(
        self, name: str, attack: Attack, batch: AskedBatch, attacked: Mapping[str, AttackedModel]
    ) -> list[AttackAnswerLine]:
        """The answers of a batch. A subject that is in `attacked` answers as that model, alone in its batch."""
        variants = [subject.variant for subject in batch.subjects]
        model = self.model
        if attacked:
            (one,) = (attacked[str(variant)] for variant in variants)
            model = one.model
            variants = [Variant(v.name, v.coefficient, one.coefficients) for v in variants]
        config = self.plan.decoding_under(attack)
        written = generate_answers(model, [one.asked for one in batch.wordings], variants, config)
        places = [
            (self._answer_key(name, attack, subject, one.pair, one.id, sample), one.asked)
            for one in batch.wordings
            for subject in batch.subjects
            for sample in range(config.samples)
        ]
        seconds = written[0].seconds / len(written)
        return [
            AttackAnswerLine(
                key, one.variant, one.prompt, asked.text, asked.answer_start, one.text, one.tokens, one.stopped, seconds
            )
            for (key, asked), one in zip(places, written, strict=True)
        ]

    def _score(self, name: str, attack: Attack, subject: MeasuredVariant, attacked: AttackedModel, place: str) -> None:
        """Score given harmful answers, and the KL from base on the base's own answers."""
        tokens = self.plan.max_tokens

        def key(kind: str, pair: PromptPair) -> str:
            return self._key(name, attack, subject, f"{kind}/{pair.id}")

        def score(pairs: list[PromptPair]) -> list[TokenLogProbsLine]:
            found = zip(pairs, given_log_probs(attacked, pairs, tokens), strict=True)
            return [TokenLogProbsLine(key("given", pair), values) for pair, values in found]

        def measure_kl(pairs: list[PromptPair]) -> list[KlLine]:
            found = zip(pairs, kl_on_answers(self.model, attacked, pairs, tokens), strict=True)
            return [KlLine(key("own", pair), value) for pair, value in found]

        given = [pair for pair in self.plan.harmful if key("given", pair) not in self.log_probs]
        self.run_pass(f"{place}: scoring given answers", self._batches(given), score, self.log_probs)
        own = [pair for pair in self.plan.own if key("own", pair) not in self.kl]
        self.run_pass(f"{place}: measuring KL", self._batches(own), measure_kl, self.kl)

    def _batches(self, pairs: Sequence[PromptPair]) -> list[list[PromptPair]]:
        return batches_by_length(self.model, pairs, self.plan.max_tokens, self.plan.batch_tokens)

    def _judge(self, judge: Judge) -> dict[str, VerdictLine]:
        """Verdicts by answer key, and by key with `/whole` for an answer with the beginning that an attack wrote."""

        def texts() -> Iterator[tuple[str, tuple[str, str]]]:
            for line in self._planned_answers():
                yield line.key, (line.prompt, line.text)
                if line.answer_start:
                    yield f"{line.key}/whole", (line.prompt, line.answer_start + line.text)

        return self.judge_texts(judge, texts())

    def _planned_answers(self) -> Iterable[AttackAnswerLine]:
        for name, attack in self.plan.measured.items():
            for subject in (one for one in self.plan.subjects if self.plan.applies(attack, one)):
                yield from (line for _, line in self._answers_of(name, attack, subject))

    def _answers_of(
        self, name: str, attack: Attack, subject: MeasuredVariant
    ) -> Iterator[tuple[PromptPair, AttackAnswerLine]]:
        for pair, wording in self._answered_wordings(name, attack, subject):
            for sample in range(attack.samples):
                yield pair, self.answers[self._answer_key(name, attack, subject, pair, wording, sample)]

    def _answered_wordings(
        self, name: str, attack: Attack, subject: MeasuredVariant
    ) -> Iterator[tuple[PromptPair, str]]:
        if attack.weaken is None:
            yield from ((one.pair, one.id) for one in self.wordings(attack))
            return
        for pair in self.plan.asked(attack) if attack.answers else ():
            for number in itertools.count():
                if self._answer_key(name, attack, subject, pair, str(number), 0) not in self.answers:
                    break
                yield pair, str(number)

    def _cell(
        self, name: str, attack: Attack, subject: MeasuredVariant, verdicts: Mapping[str, VerdictLine]
    ) -> CellLines:
        def key(item: str) -> str:
            return self._key(name, attack, subject, item)

        given = {p.id: key(f"given/{p.id}") for p in self.plan.harmful}
        own = {p.id: key(f"own/{p.id}") for p in self.plan.own}
        harmless = set(self.plan.harmless(attack))
        answers, harmless_outcomes = [], {}
        for pair, line in self._answers_of(name, attack, subject):
            verdict, whole = verdicts[line.key], verdicts.get(f"{line.key}/whole")
            if pair in harmless:
                harmless_outcomes[pair.prompt_id] = verdict.outcome
            else:
                answers.append(AttackedAnswer(pair.prompt_id, line, verdict, whole))
        return CellLines(
            answers=tuple(answers),
            harmless_outcomes=harmless_outcomes,
            log_probs={i: self.log_probs[k].log_probs for i, k in given.items() if k in self.log_probs},
            kl={i: self.kl[k].kl for i, k in own.items() if k in self.kl},
            details=self.details[key("details")].details if key("details") in self.details else {},
        )

    def _answer_key(
        self, name: str, attack: Attack, subject: MeasuredVariant, pair: PromptPair, wording: str, sample: int
    ) -> str:
        config = self.plan.decoding_under(attack)
        item = f"{config.max_new_tokens}-{config.temperature:g}-{config.seed}/{pair.id}/{wording}/{sample}"
        return self._key(name, attack, subject, item)

    def _key(self, name: str, attack: Attack, subject: MeasuredVariant, item: str) -> str:
        settings = "" if name == NO_ATTACK else digest(repr(sorted(attack.settings.items())), self.plan.data.key)
        identity = self.identities[str(subject.variant)]
        return line_key(self.model.fingerprint, identity, f"{name}-{settings}-{self.plan.max_tokens}", item)
