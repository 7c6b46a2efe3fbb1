"""Passes over a work folder: each computes the lines that the folder lacks, batch by batch.

A pass can be stopped between two batches and resumed. Under `accelerate launch` (or `torchrun` on processors) the
processes share the batches and the first one writes. Judging is a pass that every kind of measurement has; the other
passes are in `runner.py` and in `attacks/runner.py`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from accelerate.utils import gather_object

from sku.core.errors import Cancelled
from sku.evaluation.work_lines import KeyedLines, Line, VerdictLine
from sku.judges.protocol import Judge, PromptAnswer
from sku.judges.verdicts import judge_answers
from sku.models.distributed import process_state
from sku.models.likelihood import base_log_probs
from sku.models.variant_model import VariantModel

ANSWERS_PER_JUDGE_BATCH = 48
"""Answers that a judge gets at once."""
ProgressReport = Callable[[dict[str, Any]], None]
"""Gets `{"doing", "done", "todo", "seconds"}` after every batch."""
WorkItem = TypeVar("WorkItem")
WorkBatch = TypeVar("WorkBatch")


class WorkPasses:
    """Runs passes on one model and one work folder."""

    def __init__(
        self,
        model: VariantModel,
        work: Path,
        report: ProgressReport = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare the passes.

        Args:
            model: holds every adapter that is measured.
            work: the folder that keeps the lines.
            report: called after every batch.
            cancelled: asked before every batch; once it answers True, the pass raises `Cancelled`.
        """
        self.model, self.work = model, work
        self.report, self.cancelled = report, cancelled
        self.state = process_state()

    def open_lines(self, name: str, kind: type[Line]) -> KeyedLines[Line]:
        """The lines of one pass; only the first process writes them."""
        return KeyedLines(self.work / f"{name}.jsonl", kind, self.state.is_main_process)

    def judge_texts(self, judge: Judge, answers: Iterable[tuple[str, PromptAnswer]]) -> dict[str, VerdictLine]:
        """The verdicts of `judge` by key. Variants often write the same answer; it is judged once.

        Args:
            judge: asked about answers that it has not judged yet.
            answers: keys with a prompt and the answer to it.
        """
        name = "-".join(filter(None, (judge.card.id, judge.card.weights)))
        verdicts = self.open_lines(f"verdicts-{name}", VerdictLine)
        unjudged: dict[PromptAnswer, dict[str, None]] = defaultdict(dict)
        for key, asked in answers:
            if key not in verdicts:
                unjudged[asked][key] = None

        def judge_batch(asked: Sequence[PromptAnswer]) -> list[VerdictLine]:
            log_probs = dict(zip(asked, base_log_probs(self.model, asked), strict=True))

            def likelihood(pairs: Sequence[PromptAnswer]) -> list[float]:
                rest = [pair for pair in pairs if pair not in log_probs]  # answers without their reasoning
                known = log_probs | dict(zip(rest, base_log_probs(self.model, rest), strict=True))
                return [known[pair] for pair in pairs]

            found = zip(asked, judge_answers(asked, judge, likelihood), log_probs.values(), strict=True)
            return [
                VerdictLine(key, verdict.outcome, verdict.score, verdict.reason, log_prob)
                for answer, verdict, log_prob in found
                for key in unjudged[answer]
            ]

        batches = chunks(sorted(unjudged, key=_prompt_then_length), ANSWERS_PER_JUDGE_BATCH)
        self.run_pass("judging", batches, judge_batch, verdicts)
        return verdicts.found

    def run_pass(
        self, doing: str, batches: Sequence[WorkBatch], work: Callable[[WorkBatch], list[Line]], lines: KeyedLines[Line]
    ) -> None:
        """Compute all batches, one for each process in a round. The lines of a round are kept before the next begins.

        Raises:
            Cancelled: if `cancelled` said so before a round.
        """
        state, began = self.state, time.perf_counter()
        for start in range(0, len(batches), state.num_processes):
            self.stop_if_cancelled()
            mine = start + state.process_index
            made = work(batches[mine]) if mine < len(batches) else []
            lines.add(gather_object(made) if state.num_processes > 1 else made)
            if state.is_main_process:
                done, seconds = min(start + state.num_processes, len(batches)), time.perf_counter() - began
                self.report({"doing": doing, "done": done, "todo": len(batches), "seconds": seconds})

    def ask_server(self, doing: str, answers: Iterable[Line], todo: int, lines: KeyedLines[Line]) -> None:
        """Keep the lines that a server's answers make, each as it comes. Only the first process asks.

        Raises:
            Cancelled: if `cancelled` said so after an answer. Answers that are under way are lost.
        """
        made: list[Line] = []
        began = time.perf_counter()
        for line in answers if self.state.is_main_process else ():
            lines.add([line])
            made.append(line)
            seconds = time.perf_counter() - began
            self.report({"doing": doing, "done": len(made), "todo": todo, "seconds": seconds})
            self.stop_if_cancelled()
        if self.state.num_processes > 1:
            lines.add(gather_object(made))

    def stop_if_cancelled(self) -> None:
        """Raise `Cancelled` once the caller wants to stop."""
        if self.cancelled():
            raise Cancelled(f"stopped; what is done is kept in {self.work}, and the same call continues from there")


def chunks(items: Sequence[WorkItem], size: int) -> list[list[WorkItem]]:
    """Lists of at most `size` items, in order."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def _prompt_then_length(asked: PromptAnswer) -> tuple[int, str, int]:
    """Sorts the answers to one prompt together, because a judge reads the prompt once; otherwise by length."""
    prompt, answer = asked
    return len(prompt), prompt, len(answer)
