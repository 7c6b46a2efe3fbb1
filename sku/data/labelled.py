"""`labelled:PATH`: answers that people scored, a local CSV in the form of PyRIT's scorer evaluation sets.

The score means another thing for each `label_kind`: `harm` is severity, `objective` is 1 where the harmful objective
was met, `refusal` is 1 where the answer refuses. Only the first two say that an answer is harmful.
"""

from __future__ import annotations

from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet
from sku.data.row import TableRow

LICENCE = "MIT"
HARMFUL_FROM_SCORE = 0.5
"""A score from here on counts as harmful."""


def load(path: Path | None, kind: PairKind) -> DataSet:
    """The answers that people called harmful.

    Raises:
        ValueError: without a path, or for normal pairs.
    """
    if kind == "normal":
        raise ValueError("labelled has harmful pairs only; take the normal ones from bundled or truthfulqa")
    if path is None:
        raise ValueError(
            "labelled is read from a local file; write labelled:PATH, with columns prompt, answer, label_kind and score"
        )
    rows = list(table.read_table(path, ("prompt", "answer", "label_kind", "score")))
    pairs = tuple(
        PromptPair(row.text("prompt"), row.text("answer"), kind, "labelled", row.optional("category"))
        for row in rows
        if _harmful(row)
    )
    return DataSet("labelled", pairs, skipped=len(rows) - len(pairs), licence=LICENCE)


def _harmful(row: TableRow) -> bool:
    score = row.number_in("score")
    return row.text("label_kind") in ("harm", "objective") and score >= HARMFUL_FROM_SCORE
