"""`labelled:FILE`: answers that people scored, a local CSV in the form of PyRIT's scorer evaluation sets.

What the score means depends on `label_kind`: `harm` is severity, `objective` is 1 where the harmful objective was met,
`refusal` is 1 where the answer refuses. Only the first two say that an answer is harmful.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source

_COLUMNS = ("prompt", "answer", "label_kind", "score")
_HARMFUL_FROM_SCORE = 0.5


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    """The answers that people called harmful."""
    for row in table.read_table(path, _COLUMNS):
        if _is_harmful(row):
            yield PromptPair(row.text("prompt"), row.text("answer"), kind, "labelled", row.optional("category"))
        else:
            yield None


def _is_harmful(row: table.TableRow) -> bool:
    score = row.number_in("score")
    return row.text("label_kind") in ("harm", "objective") and score >= _HARMFUL_FROM_SCORE


LABELLED = Source(
    name="labelled",
    description="answers that people judged harmful, in the form of PyRIT's scorer evaluation sets",
    licence="MIT",
    read_pairs=_read_pairs,
    needs_file="required",
    kinds=("harmful",),
    columns=_COLUMNS,
)
