"""`advbench:FILE`: harmful behaviours with the first sentence of a harmful answer (Zou et al. 2023), a local CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source

_COLUMNS = ("prompt", "target")


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    for row in table.read_table(path, _COLUMNS):
        yield PromptPair(row.text("prompt"), row.text("target"), kind, "advbench")


ADVBENCH = Source(
    name="advbench",
    description="AdvBench: harmful behaviours with the first sentence of an affirmative answer",
    licence="MIT",
    read_pairs=_read_pairs,
    needs_file="required",
    kinds=("harmful",),
    columns=_COLUMNS,
)
