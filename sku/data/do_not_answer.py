"""`do_not_answer:FILE`: prompts that a careful model declines (Wang et al. 2024), a local file without answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source

_COLUMNS = ("prompt", "category")
_AUTHORS_COLUMNS = ("question", "risk_area")


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    """Each prompt with its category, in our column names or in the authors'."""
    prompt, category = _AUTHORS_COLUMNS if _AUTHORS_COLUMNS[0] in table.column_names(path) else _COLUMNS
    for row in table.read_table(path, (prompt,)):
        yield PromptPair(row.text(prompt), "", kind, "do_not_answer", row.optional(category))


DO_NOT_ANSWER = Source(
    name="do_not_answer",
    description="Do-Not-Answer: prompts that a careful model declines; no answers",
    licence="Apache-2.0",
    read_pairs=_read_pairs,
    needs_file="required",
    kinds=("harmful",),
    has_answers=False,
    columns=_COLUMNS,
)
