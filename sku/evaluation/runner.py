"""The sweep: variants x prompts -> answers, likelihoods, verdicts, and from them result rows.

Three passes, each resumable, each leaving lines in the work folder: answers (decoding), likelihoods (of given answers,
no sampling), verdicts (a judge over the answers). Judging again reads the answers and writes none. A line's key names
the base, the adapter's content, the coefficient and the settings, so a run that was trained again is measured again.
Under `accelerate launch`, or `torchrun` on processors, the processes share the work and the first one writes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from sku.core.errors import Cancelled
from sku.core.jsonl import append_json_lines, read_json_log
from sku.core.records import PromptPair, digest
from sku.evaluation.plan import MIN_SCORED_TOKENS, EvaluationPlan, MeasuredVariant
from sku.judges.protocol import Judge, PromptAnswer
from sku.judges.verdicts import judge_answers
from sku.models.batching import EncodedPair, encode_answer
from sku.models.generation import generate_answers
from sku.models.likelihood import answer_kl, base_log_probs, by_length
from sku.models.variant_model import VariantModel

_JUDGED_AT_ONCE = 48
ProgressReport = Callable[[dict[str, Any]], None]
"""Gets `{"doing", "done", "todo", "seconds"}` after every batch."""
BatchWork = Callable[[Sequence[Any]], list[dict[str, Any]]]


def process_state() -> PartialState:
    """Those that share the work: one, or as many as a launcher started."""
    return PartialState(cpu=not torch.accelerator.is_available())


class LineKey(NamedTuple):
    """Names one line. Text, so that it is the same in every process and session."""

    base: str
    identity: str
    what: str
    """`answer` or the kind of likelihood, with the settings that it depends on."""
    item: str
    """Id of the prompt, or of the prompt with the answer that is scored."""

    def __str__(self) -> str:
        return "/".join(self)


class KeyedLines:
    """A JSONL file of keyed lines: what is there is not done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = {line["key"]: line for line in read_json_log(path)}

    def add(self, lines: Sequence[dict[str, Any]]) -> None:
        """Keep `lines`; the main process writes them."""
        self.found |= {line["key"]: line for line in lines}
        if process_state().is_main_process:
            append_json_lines(self.path, lines)


class Evaluation:
    """One plan at work on one model."""

    def __init__(
        self, model: VariantModel, plan: EvaluationPlan, work: Path, report: ProgressReport = lambda _: None
    ) -> None:
        self.model, self.plan, self.report = model, plan, report
        self.answers, self.scores = KeyedLines(work / "answers.jsonl"), KeyedLines(work / "likelihoods.jsonl")
        self.work = work
        self.identities = {str(subject.variant): subject.identity for subject in plan.subjects}

    def run(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Make the answers and likelihoods that are not there yet.

        Raises:
            Cancelled: if `cancelled`, which is asked before every batch, said so.
        """
        self._answer(cancelled)
        self._score(cancelled)

    def judged(self, judge: Judge) -> KeyedLines:
        """Verdicts of `judge` on all answers of the plan, asked only about answers that it has not seen."""
        name = "-".join(filter(None, (judge.card.id, judge.card.weights)))
        lines = KeyedLines(self.work / f"verdicts-{name}.jsonl")
        todo: dict[PromptAnswer, dict[str, None]] = defaultdict(dict)  # variants often write the same: asked once
        for subject in self.plan.subjects:
            for pair in (*self.plan.sets.harmful, *self.plan.sets.normal, *self.plan.sets.sounds_harmful):
                line = self.answers.found[str(self.answer_key(subject, pair))]
                if line["key"] not in lines.found:
                    todo[line["prompt"], line["text"]][line["key"]] = None
        chunks = _chunks(sorted(todo, key=_by_prompt), _JUDGED_AT_ONCE)

        def work(asked: Sequence[PromptAnswer]) -> list[dict[str, Any]]:
            log_probs = base_log_probs(self.model, asked)
            said = judge_answers(asked, judge, lambda _: log_probs)
            return [
                {"key": key, "outcome": one.outcome, "score": one.score, "reason": one.reason, "base_log_prob": p}
                for pair, one, p in zip(asked, said, log_probs, strict=True)
                for key in todo[pair]
            ]

        self._each("judging", chunks, work, lines, lambda: False)
        return lines

    def answer_key(self, subject: MeasuredVariant, pair: PromptPair) -> LineKey:
        """Key of the answer of one variant to one prompt."""
        d = self.plan.decoding
        what = f"answer-{d.max_new_tokens}-{d.temperature:g}-{d.seed}"
        return LineKey(self.model.fingerprint, self.identities[str(subject.variant)], what, pair.prompt_id)

    def score_key(self, subject: MeasuredVariant, pair: PromptPair, what: str) -> LineKey:
        """Key of the likelihood of one given answer under one variant."""
        identity = self.identities[str(subject.variant)]
        item = digest(pair.prompt, _given(pair, what))
        return LineKey(self.model.fingerprint, identity, f"{what}-{self.plan.max_tokens}", item)

    def _answer(self, cancelled: Callable[[], bool]) -> None:
        sets = self.plan.sets
        prompts = {pair.prompt_id: pair for pair in (*sets.harmful, *sets.normal, *sets.sounds_harmful)}
        chunks = []
        for group in self._by_adapter():
            missing: dict[tuple[int, ...], list[PromptPair]] = defaultdict(list)
            for pair in sorted(prompts.values(), key=lambda pair: len(pair.prompt)):
                lacking = tuple(
                    i for i, one in enumerate(group) if str(self.answer_key(one, pair)) not in self.answers.found
                )
                if lacking:
                    missing[lacking].append(pair)
            for lacking, pairs in missing.items():
                size = max(1, self.plan.rows // len(lacking))
                chunks += [[([group[i] for i in lacking], chunk)] for chunk in _chunks(pairs, size)]

        def work(chunk: Sequence[Any]) -> list[dict[str, Any]]:
            ((subjects, pairs),) = chunk
            return self._written(subjects, pairs)

        self._each("writing answers", chunks, work, self.answers, cancelled)

    def _written(self, subjects: Sequence[MeasuredVariant], pairs: Sequence[PromptPair]) -> list[dict[str, Any]]:
        written = generate_answers(
            self.model, [p.prompt for p in pairs], [s.variant for s in subjects], self.plan.decoding
        )
        places = [(pair, subject) for pair in pairs for subject in subjects]
        return [
            {
                "key": str(self.answer_key(subject, pair)),
                "variant": one.variant,
                "prompt": one.prompt,
                "text": one.text,
                "tokens": one.tokens,
                "stopped": one.stopped,
                "seconds": one.seconds / len(written),
            }
            for (pair, subject), one in zip(places, written, strict=True)
        ]

    def _score(self, cancelled: Callable[[], bool]) -> None:
        sets = self.plan.sets
        wanted = {"harmful": sets.pairs, "safe": sets.pairs, "own": sets.own, "reference": sets.references}
        wanted["choice"] = tuple(pair for one in sets.choices for pair in one.pairs)
        chunks: list[list[Any]] = []
        for group in self._by_adapter():
            items = [
                (
                    subject,
                    pair,
                    what,
                    self._encoded(pair.prompt, _given(pair, what)),
                )
                for what, pairs in wanted.items()
                for pair in pairs
                for subject in group
                if str(self.score_key(subject, pair, what)) not in self.scores.found
            ]
            rows = [(row, subject.variant.coefficients) for subject, _, _, row in items]
            chunks += [[items[i] for i in places] for places in by_length(rows, self.plan.batch_tokens)]
        self._each("scoring given answers", chunks, self._scored, self.scores, cancelled)

    def _encoded(self, prompt: str, given: str) -> EncodedPair:
        template = self.model.template
        room = max(self.plan.max_tokens, len(template.prompt_ids(prompt)) + MIN_SCORED_TOKENS)
        return encode_answer(template, prompt, given, min(room, self.model.context))

    def _scored(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        rows: list[EncodedPair] = [row for _, _, _, row in items]
        measured = answer_kl(self.model, rows, [subject.variant.coefficients for subject, _, _, _ in items])
        return [
            {
                "key": str(self.score_key(subject, pair, what)),
                "log_prob": one.log_prob,
                "tokens": one.tokens,
                "kl": one.kl,
            }
            for (subject, pair, what, _), one in zip(items, measured, strict=True)
        ]

    def _by_adapter(self) -> Iterator[list[MeasuredVariant]]:
        """Variants of the same adapters together: an adapter costs time in every row of its batch, used or not."""
        groups: dict[tuple[str, ...], dict[str, MeasuredVariant]] = defaultdict(dict)
        for subject in self.plan.subjects:
            adapters = tuple(sorted(subject.variant.coefficients))
            groups[adapters].setdefault(self.identities[str(subject.variant)], subject)
        return (list(group.values()) for group in groups.values())

    def _each(
        self,
        doing: str,
        chunks: Sequence[Sequence[Any]],
        work: BatchWork,
        lines: KeyedLines,
        cancelled: Callable[[], bool],
    ) -> None:
        """Work the chunks off, shared by the processes; every round's lines are kept before the next begins."""
        state, began = process_state(), time.perf_counter()
        for start in range(0, len(chunks), state.num_processes):
            if cancelled():
                raise Cancelled(f"stopped; what is done is kept in {self.work}, and the same call continues from there")
            mine = start + state.process_index
            made = work(chunks[mine]) if mine < len(chunks) else []
            lines.add(gather_object(made) if state.num_processes > 1 else made)
            done = min(start + state.num_processes, len(chunks))
            if state.is_main_process:
                seconds = time.perf_counter() - began
                self.report({"doing": doing, "done": done, "todo": len(chunks), "seconds": seconds})


def _by_prompt(asked: PromptAnswer) -> tuple[int, str, int]:
    """Answers to one prompt stand together, for it is read once; otherwise what is about as long."""
    prompt, text = asked
    return len(prompt), prompt, len(text)


def _given(pair: PromptPair, what: str) -> str:
    return str(pair.safe_answer) if what == "safe" else pair.answer


def _chunks(items: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(items[i : i + size]) for i in range(0, len(items), size)]
