"""`advbench:FILE`: harmful behaviours with the first sentence of a harmful answer (Zou et al. 2023), a local CSV.

The authors' file (`harmful_behaviors.csv`) calls the columns goal and target; copies of it call them prompt and target.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source

_COLUMNS = ("goal", "target")
_COPIED_COLUMNS = ("prompt", "target")


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair]:
    prompt, target = columns = _COPIED_COLUMNS if "prompt" in table.column_names(path) else _COLUMNS
    for row in table.read_table(path, columns):
        yield PromptPair(row.text(prompt), row.text(target), kind, "advbench")


ADVBENCH = Source(
    name="advbench",
    description="AdvBench: harmful behaviours with the first sentence of an affirmative answer",
    licence="MIT",
    read_pairs=_read_pairs,
    needs_file="required",
    kinds=("harmful",),
    columns=_COLUMNS,
)
