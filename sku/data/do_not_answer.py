"""`do_not_answer:PATH`: prompts that a careful model declines (Wang et al. 2024), a local file. No answers."""

from __future__ import annotations

from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet

LICENCE = "Apache-2.0"
_OURS = ("prompt", "category")
_AUTHORS = ("question", "risk_area")


def load(path: Path | None, kind: PairKind) -> DataSet:
    """Each prompt with its category.

    Args:
        path: a table with columns prompt and category, or question and risk_area, as the authors call them.
        kind: must be harmful.

    Raises:
        ValueError: without a path, or for normal pairs.
    """
    if kind == "normal":
        raise ValueError("do_not_answer has harmful prompts only; take the normal ones from bundled or xstest")
    if path is None:
        raise ValueError(
            "do_not_answer is read from a local file; write do_not_answer:PATH, with columns prompt and category"
        )
    prompt, category = _AUTHORS if _AUTHORS[0] in table.column_names(path) else _OURS
    pairs = tuple(
        PromptPair(row.text(prompt), "", kind, "do_not_answer", row.optional(category))
        for row in table.read_table(path, (prompt,))
    )
    return DataSet("do_not_answer", pairs, licence=LICENCE)
