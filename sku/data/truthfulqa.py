"""`truthfulqa`: questions with their best answer (Lin et al. 2022), from the hub or a local file.

One pair a question. The official SKU code uses every question twice and splits by row, so that one question stands on
both sides; here it cannot.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from sku.data import hub, table
from sku.data.dataset import DataSet, Unavailable
from sku.data.row import Row
from sku.records import Kind, PromptPair

LICENCE = "Apache-2.0"
REPO = "truthfulqa/truthful_qa"
FILE = "generation/validation-00000-of-00001.parquet"
REVISION = "741b8276f2d1982aa3d5b832d3ee81ed3b896490"
_HUB = ("question", "best_answer", "category")
_CSV = ("Question", "Best Answer", "Category")


def load(path: Path | None, kind: Kind) -> DataSet:
    """The first answer given for each question.

    Args:
        path: the CSV of the authors, a table with the hub's column names, or None for the hub.
        kind: must be normal.

    Raises:
        Unavailable: if it has to come from the hub and cannot.
        ValueError: for harmful pairs.
    """
    if kind == "harmful":
        raise ValueError("truthfulqa has normal pairs only; take the harmful ones from bundled or saferlhf")
    found = list(_pairs(path or hub.fetch("truthfulqa", REPO, FILE, REVISION)))
    first: dict[str, PromptPair] = {}
    for pair in found:
        first.setdefault(pair.prompt_id, pair)
    return DataSet("truthfulqa", tuple(first.values()), skipped=len(found) - len(first), licence=LICENCE)


def _pairs(path: Path) -> Iterator[PromptPair]:
    question, answer, category = columns = _HUB if _hub_names(path) else _CSV
    for row in _parquet(path) if path.suffix == ".parquet" else table.rows(path, columns[:2]):
        yield PromptPair(row.text(question), row.text(answer), "normal", "truthfulqa", row.optional(category))


def _hub_names(path: Path) -> bool:
    return path.suffix == ".parquet" or "best_answer" in table.columns(path)


def _parquet(path: Path) -> Iterator[Row]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")  # 40 MB that nothing else here needs
    except ImportError:
        raise Unavailable(
            "truthfulqa comes from the hub as Parquet and pyarrow is not installed; pip install pyarrow, "
            "or use the authors' CSV (truthfulqa:PATH) or the source bundled instead"
        ) from None
    found = parquet.read_table(path, columns=list(_HUB)).to_pylist()
    return (Row(path.name, number, values) for number, values in enumerate(found, 1))
