"""`bundled`: the small set that comes with this project, so that everything runs without a network."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DATA_ASSETS, DataSet

LICENCE = "Apache-2.0"


def load(path: Path | None, kind: PairKind) -> DataSet:
    """The bundled pairs of one kind.

    Raises:
        ValueError: if a path is given.
    """
    if path is not None:
        raise ValueError(f"bundled takes no file, but {path.name!r} came; write bundled, or the path alone")
    needed = ("prompt", "answer", "safe_answer") if kind == "harmful" else ("prompt", "answer")
    pairs = tuple(
        PromptPair(
            prompt=row.text("prompt"),
            answer=row.text("answer"),
            kind=kind,
            source="bundled",
            category=row.optional("category"),
            safe_answer=row.text("safe_answer") if kind == "harmful" else None,
        )
        for row in table.read_table(DATA_ASSETS / f"bundled_{kind}.jsonl", needed)
    )
    return DataSet("bundled", pairs, licence=LICENCE)


@cache
def refusals() -> tuple[str, ...]:
    """Short refusals for harmful prompts whose source has no safe answer."""
    return tuple(row.text("answer") for row in table.read_table(DATA_ASSETS / "refusals.jsonl", ("answer",)))
