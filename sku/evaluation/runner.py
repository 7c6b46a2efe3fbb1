"""Runs the passes of an evaluation: every pass computes the lines that the work folder lacks.

There are four passes: writing answers, scoring given answers without sampling, judging the answers, and comparing
them with the base's. Judging again, with another judge, writes no answers. `aggregate.py` makes result rows of the
lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sku.core.records import PromptPair, digest
from sku.evaluation.given_answers import encode_given
from sku.evaluation.passes import ProgressReport, WorkPasses, chunks
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant
from sku.evaluation.similarity import SimilarityMetric
from sku.evaluation.work_lines import (
    AnswerLine,
    EvaluationLines,
    LikelihoodKind,
    LikelihoodLine,
    SimilarityLine,
    VariantLines,
    VerdictLine,
    line_key,
)
from sku.judges.protocol import Judge
from sku.models.batching import EncodedPair
from sku.models.generation import generate_answers
from sku.models.likelihood import BaseStates, answer_kl, by_length
from sku.models.remote_likelihood import answer_log_probs, tells_likelihoods
from sku.models.remote_model import Question, RemoteModel
from sku.models.variant_model import VariantModel

TEXT_PAIRS_PER_SIMILARITY_BATCH = 256
"""Answers that are compared with the base's at once."""


class AnswerBatch(NamedTuple):
    """Every subject answers every prompt."""

    subjects: list[MeasuredVariant]
    pairs: list[PromptPair]


class GivenAnswer(NamedTuple):
    """A given answer to be scored under one subject."""

    subject: MeasuredVariant
    pair: PromptPair
    kind: LikelihoodKind
    encoded: EncodedPair


class EvaluationRunner(WorkPasses):
    """Runs the passes of one plan on one model."""

    def __init__(
        self,
        model: VariantModel,
        plan: EvaluationPlan,
        work: Path,
        report: ProgressReport = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare a runner.

        Args:
            model: holds every adapter of the plan.
            plan: what to measure.
            work: the folder that keeps the lines.
            report: called after every batch.
            cancelled: asked before every batch; once it answers True, the pass raises `Cancelled`.
        """
        super().__init__(model, work, report, cancelled)
        self.plan = plan
        self.identities = {str(subject.variant): subject.identity for subject in plan.subjects}
        self.answers = self.open_lines("answers", AnswerLine)
        self.likelihoods = self.open_lines("likelihoods", LikelihoodLine)
        self._base_states = BaseStates()

    def run(self, judge: Judge, similarity: SimilarityMetric | None = None) -> EvaluationLines:
        """Run all passes.

        Args:
            judge: asked about answers that it has not judged yet.
            similarity: None leaves similarity unmeasured, and so does a plan without the base or normal prompts.

        Raises:
            Cancelled: if `cancelled` said so. The work folder keeps what is done.
        """
        self.write_answers()
        self.score_given_answers()
        verdicts = self.judge_answers(judge)
        similarities = self.compare_answers(similarity) if similarity else {}
        return EvaluationLines(
            judge.card.id,
            judge.card.topic_threshold is not None,
            similarity.name if similarity and similarities else None,
            tuple(self._variant_lines(subject, verdicts, similarities) for subject in self.plan.subjects),
        )

    def write_answers(self) -> None:
        """Let the variants write the answers that are missing."""
        self.run_pass("writing answers", self._answer_batches(), self._write_batch, self.answers)
        for subject in self.plan.subjects:
            if subject.remote is not None:
                self._ask_server(subject, subject.remote)

    def score_given_answers(self, subjects: Sequence[MeasuredVariant] | None = None) -> None:
        """Score the given answers that have no likelihood yet, under `subjects` of the plan or under all."""
        subjects = self.plan.subjects if subjects is None else subjects
        self.run_pass("scoring given answers", self._likelihood_batches(subjects), self._score_batch, self.likelihoods)
        for subject in subjects:
            if subject.remote is not None and subject.remote.server.log_probs:
                self._score_at_server(subject, subject.remote)

    def judge_answers(self, judge: Judge) -> dict[str, VerdictLine]:
        """The verdicts of `judge` by answer key. Variants often write the same answer; it is judged once."""
        asked = (
            (pair.judged_prompt, self.answers[self.answer_key(subject, pair)])
            for subject in self.plan.subjects
            for pair in self.plan.sets.answered
        )
        return self.judge_texts(judge, ((line.key, (prompt, line.text)) for prompt, line in asked))

    def compare_answers(self, metric: SimilarityMetric) -> dict[str, SimilarityLine]:
        """How similar the answers to normal prompts are to the base's, by answer key; empty if the plan has no base.

        Equal pairs of answers are compared once.
        """
        base = next((subject for subject in self.plan.subjects if subject.is_base), None)
        if base is None or not self.plan.sets.normal:
            return {}
        similarities = self.open_lines(f"similarities-{metric.name}", SimilarityLine)
        uncompared: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for pair in self.plan.sets.normal:
            reference = self.answers[self.answer_key(base, pair)].text
            for subject in self.plan.subjects:
                line = self.answers[self.answer_key(subject, pair)]
                if line.key not in similarities:
                    uncompared[reference, line.text][line.key] = None

        def compare_batch(texts: Sequence[tuple[str, str]]) -> list[SimilarityLine]:
            scores = metric.scores([answer for _, answer in texts], [reference for reference, _ in texts])
            return [
                SimilarityLine(key, score)
                for both, score in zip(texts, scores, strict=True)
                for key in uncompared[both]
            ]

        batches = chunks(sorted(uncompared), TEXT_PAIRS_PER_SIMILARITY_BATCH)
        self.run_pass("comparing answers with the base's", batches, compare_batch, similarities)
        return similarities.found

    def answer_key(self, subject: MeasuredVariant, pair: PromptPair) -> str:
        """Key of the answer of one variant to one prompt, and of what was found about that answer."""
        decoding = self.plan.decoding
        settings = f"answer-{decoding.max_new_tokens}-{decoding.temperature:g}-{decoding.seed}"
        return line_key(self.model.fingerprint, self.identities[str(subject.variant)], settings, pair.prompt_id)

    def likelihood_key(self, subject: MeasuredVariant, pair: PromptPair, kind: LikelihoodKind) -> str:
        """Key of the likelihood of one given answer under one variant."""
        item = digest(pair.prompt, _given_text(pair, kind), *pair.before.texts)
        settings = f"{kind}-{self.plan.max_tokens}"
        return line_key(self.model.fingerprint, self.identities[str(subject.variant)], settings, item)

    def _answer_batches(self) -> list[AnswerBatch]:
        prompts = {pair.prompt_id: pair for pair in self.plan.sets.answered}
        shortest_first = sorted(prompts.values(), key=lambda pair: len(pair.prompt))
        batches = []
        for group in self._subjects_by_adapters(self.plan.subjects):
            missing: dict[tuple[int, ...], list[PromptPair]] = defaultdict(list)
            for pair in shortest_first:
                places = tuple(i for i, one in enumerate(group) if self.answer_key(one, pair) not in self.answers)
                if places:
                    missing[places].append(pair)
            for places, pairs in missing.items():
                subjects, size = [group[i] for i in places], max(1, self.plan.rows // len(places))
                batches += [AnswerBatch(subjects, chunk) for chunk in chunks(pairs, size)]
        return batches

    def _write_batch(self, batch: AnswerBatch) -> list[AnswerLine]:
        prompts, variants = [p.asked for p in batch.pairs], [s.variant for s in batch.subjects]
        written = generate_answers(self.model, prompts, variants, self.plan.decoding)
        keys = [self.answer_key(subject, pair) for pair in batch.pairs for subject in batch.subjects]
        return [
            AnswerLine(key, one.variant, one.prompt, one.text, one.tokens, one.stopped, one.seconds / len(written))
            for key, one in zip(keys, written, strict=True)
        ]

    def _ask_server(self, subject: MeasuredVariant, remote: RemoteModel) -> None:
        """Let the model behind a server write the answers that are missing."""
        prompts = {pair.prompt_id: pair for pair in self.plan.sets.answered}
        missing = [pair for pair in prompts.values() if self.answer_key(subject, pair) not in self.answers]
        questions = [Question(pair.asked) for pair in missing]

        def lines() -> Iterator[AnswerLine]:
            for i, one in remote.ask_each(questions, self.plan.decoding):
                key, variant = self.answer_key(subject, missing[i]), str(subject.variant)
                stopped = one.stopped or "cancelled"
                yield AnswerLine(key, variant, missing[i].prompt, one.text, one.tokens, stopped, one.seconds)

        self.ask_server(f"asking {subject.variant}", lines(), len(missing), self.answers)

    def _score_at_server(self, subject: MeasuredVariant, remote: RemoteModel) -> None:
        """Score the given answers that have no likelihood yet under a model behind a server.

        Raises:
            ValueError: if the server does not tell likelihoods of the tokens of the base here.
        """
        missing = {
            key: self._encoded(pair, kind)
            for kind, pairs in self.plan.sets.scored.items()
            for pair in pairs
            if (key := self.likelihood_key(subject, pair, kind)) not in self.likelihoods
        }
        if missing and not tells_likelihoods(remote, self.model.template):
            raise ValueError(
                f"server {remote.server.name} does not tell how likely given tokens of {self.plan.model} are; leave "
                "log_probs out of its settings"
            )
        keys = list(missing)

        def lines() -> Iterator[LikelihoodLine]:
            for i, found in answer_log_probs(remote, list(missing.values())):
                yield LikelihoodLine(keys[i], sum(found) / len(found), len(found), None)

        self.ask_server(f"scoring given answers at {subject.variant}", lines(), len(keys), self.likelihoods)

    def _likelihood_batches(self, subjects: Sequence[MeasuredVariant]) -> list[list[GivenAnswer]]:
        batches = []
        for group in self._subjects_by_adapters(subjects):
            items = [
                GivenAnswer(subject, pair, kind, self._encoded(pair, kind))
                for kind, pairs in self.plan.sets.scored.items()
                for pair in pairs
                for subject in group
                if self.likelihood_key(subject, pair, kind) not in self.likelihoods
            ]
            rows = [(item.encoded, item.subject.variant.coefficients) for item in items]
            batches += [[items[i] for i in places] for places in by_length(rows, self.plan.batch_tokens)]
        return batches

    def _encoded(self, pair: PromptPair, kind: LikelihoodKind) -> EncodedPair:
        return encode_given(self.model, replace(pair, answer=_given_text(pair, kind)), self.plan.max_tokens)

    def _score_batch(self, items: list[GivenAnswer]) -> list[LikelihoodLine]:
        coefficients = [item.subject.variant.coefficients for item in items]
        scored = answer_kl(self.model, [item.encoded for item in items], coefficients, self._base_states)
        return [
            LikelihoodLine(self.likelihood_key(item.subject, item.pair, item.kind), one.log_prob, one.tokens, one.kl)
            for item, one in zip(items, scored, strict=True)
        ]

    def _subjects_by_adapters(self, subjects: Sequence[MeasuredVariant]) -> Iterator[list[MeasuredVariant]]:
        """Groups of different variants of the same adapters: an adapter costs time in every row of its batch. Models
        behind servers are in none."""
        groups: dict[tuple[str, ...], dict[str, MeasuredVariant]] = defaultdict(dict)
        for subject in (one for one in subjects if one.remote is None):
            adapters = tuple(sorted(subject.variant.coefficients))
            groups[adapters].setdefault(self.identities[str(subject.variant)], subject)
        return (list(group.values()) for group in groups.values())

    def _variant_lines(
        self,
        subject: MeasuredVariant,
        verdicts: Mapping[str, VerdictLine],
        similarities: Mapping[str, SimilarityLine],
    ) -> VariantLines:
        sets = self.plan.sets
        scored = subject.remote is None or subject.remote.server.log_probs
        keys = {pair.prompt_id: self.answer_key(subject, pair) for pair in sets.answered}
        compared = [pair.prompt_id for pair in sets.normal] if similarities else []
        return VariantLines(
            answers={prompt: self.answers[key] for prompt, key in keys.items()},
            verdicts={prompt: verdicts[key] for prompt, key in keys.items()},
            likelihoods={
                kind: {pair.id: self.likelihoods[self.likelihood_key(subject, pair, kind)] for pair in pairs}
                for kind, pairs in (sets.scored if scored else {}).items()
            },
            similarities={prompt: similarities[keys[prompt]] for prompt in compared},
        )


def _given_text(pair: PromptPair, kind: LikelihoodKind) -> str:
    return str(pair.safe_answer) if kind == "safe" else pair.answer
