"""Why a source has no pair to train on: it has no answers, or all its prompts are held out for tests. Knows no model.

The third cause, prompts that are too long, needs a tokenizer (`training/term_batches.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sku.core.records import PairKind, PromptPair
from sku.data import measured_prompts, saferlhf
from sku.data.dataset import SELF, DataSet
from sku.data.splits import split


@dataclass(frozen=True)
class DataFault:
    """What is wrong with a source, and what to do on the command line. The page offers lists of columns instead."""

    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.advice}"


def rows_to_train(data: DataSet, hold_out: bool = True) -> tuple[PromptPair, ...]:
    """The pairs of a source that may be trained on.

    Args:
        data: all pairs of the source.
        hold_out: whether to leave out the prompts for validation and tests. If not, only those that the project itself
            measures with are left out, and conversations in which one of them is asked.
    """
    measured = measured_prompts()
    pairs = split(data.pairs, "train") if hold_out else data.pairs
    return tuple(pair for pair in pairs if measured.isdisjoint(pair.question_ids))


def find_fault(
    data: DataSet, kind: PairKind, answered_by_base: bool = False, hold_out: bool = True
) -> DataFault | None:
    """Why nothing can be trained on `data`; None if something can.

    Args:
        data: all pairs of the source.
        kind: of these pairs.
        answered_by_base: whether the base writes the answers, so that the source needs none.
        hold_out: as in `rows_to_train`.
    """
    if not answered_by_base and not any(pair.answer for pair in data.pairs):
        return _no_answers(data, kind)
    if not rows_to_train(data, hold_out):
        count = len(data.pairs)
        return DataFault(
            f"{data.name} has no {kind} pair for training: {count} of {count} are held out for validation and tests, "
            "as a hash of the prompt decides for about 3 in 10 prompts",
            "add pairs; 20 or more are enough",
        )
    return None


def _no_answers(data: DataSet, kind: PairKind) -> DataFault:
    there = f": its columns are {', '.join(map(repr, data.columns_there))}" if data.columns_there else ""
    path = data.name.partition("#")[0]
    advice = f"let the base answer its prompts with {SELF}:{path}"
    if saferlhf.is_schema(data.columns_there):
        advice = f"read it as what it is, {saferlhf.SAFERLHF.name}:{path}"
    elif data.columns_there:
        advice = f"name the column of the answers, {path}#answer=COLUMN, or {advice}"
    return DataFault(f"{data.name} has no {kind} answer to train on{there}", advice)
