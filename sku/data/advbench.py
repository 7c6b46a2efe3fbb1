"""`advbench:PATH`: harmful behaviours with affirmative beginnings of answers (Zou et al. 2023), a local CSV."""

from __future__ import annotations

from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import DataSet

LICENCE = "MIT"


def load(path: Path | None, kind: PairKind) -> DataSet:
    """Each prompt with its target, the first sentence of a harmful answer.

    Raises:
        ValueError: without a path, or for normal pairs.
    """
    if kind == "normal":
        raise ValueError("advbench has harmful pairs only; take the normal ones from bundled or truthfulqa")
    if path is None:
        raise ValueError("advbench is read from a local file; write advbench:PATH, with columns prompt and target")
    pairs = tuple(
        PromptPair(row.text("prompt"), row.text("target"), kind, "advbench")
        for row in table.read_table(path, ("prompt", "target"))
    )
    return DataSet("advbench", pairs, licence=LICENCE)
