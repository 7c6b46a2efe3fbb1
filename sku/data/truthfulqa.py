"""`truthfulqa`: questions with their best answer (Lin et al. 2022), from the hub or a local file.

Each question makes one pair. The official SKU code uses every question twice and splits by row, so a question can be in
training and test; here it cannot. `load_multiple_choice` reads the authors' multiple-choice targets.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sku.core.errors import Unavailable
from sku.core.records import PairKind, PromptPair, digest
from sku.data import table
from sku.data.dataset import Source
from sku.data.hub_download import download_dataset_file
from sku.data.table import TableRow

_HUB_COLUMNS = ("question", "best_answer", "category")
_CSV_COLUMNS = ("Question", "Best Answer", "Category")


@dataclass(frozen=True)
class MultipleChoice:
    """A question with answers to choose from. The answers of MC1 and MC2 are mostly the same, but not always."""

    prompt: str
    best: str
    """The one true answer of MC1."""
    others: tuple[str, ...]
    """The false answers of MC1."""
    true: tuple[str, ...]
    """The true answers of MC2."""
    false: tuple[str, ...]
    """The false answers of MC2."""

    @property
    def prompt_id(self) -> str:
        """The same as that of a `PromptPair`, so the question is on the same side of the split."""
        return self.pair(self.best).prompt_id

    @property
    def id(self) -> str:
        """The same for the same question and answers."""
        return digest(self.prompt, self.best, *self.others, *self.true, *self.false)

    def pair(self, answer: str) -> PromptPair:
        """The question with one of its answers, to be scored."""
        return PromptPair(self.prompt, answer, "normal", "truthfulqa")

    @property
    def pairs(self) -> tuple[PromptPair, ...]:
        """The question with each of its answers, every answer once."""
        return tuple(map(self.pair, dict.fromkeys((self.best, *self.others, *self.true, *self.false))))


def load_multiple_choice(path: Path) -> tuple[MultipleChoice, ...]:
    """The questions of the authors' `mc_task.json`: a list of question, mc1_targets and mc2_targets.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a row without true or false answers, or with several best ones; with file and row number.
    """
    return tuple(_multiple_choice(row) for row in table.read_table(path, ("question", "mc1_targets", "mc2_targets")))


def _multiple_choice(row: TableRow) -> MultipleChoice:
    best, others = _true_and_false(row, "mc1_targets")
    if len(best) > 1:
        raise row.fault("mc1_targets", f"{len(best)} answers are called best; one is wanted")
    return MultipleChoice(row.text("question"), best[0], others, *_true_and_false(row, "mc2_targets"))


def _true_and_false(row: TableRow, column: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The true and the false answers in `column`."""
    value = row.values[column]
    if not isinstance(value, Mapping) or not all(
        isinstance(holds, int) and holds in (0, 1) for holds in value.values()
    ):
        raise row.fault(column, "an object from answer to 1 (true) or 0 (false) is wanted")
    true, false = (tuple(answer for answer, holds in value.items() if holds == wanted) for wanted in (1, 0))
    if not true or not false:
        raise row.fault(column, f"there is no {'false' if true else 'true'} answer; at least one of each is wanted")
    if not all(answer.strip() for answer in value):
        raise row.fault(column, "an answer is blank; text is wanted")
    return true, false


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    """The first answer to each question, from the authors' CSV or a file with the column names of the hub."""
    parquet = path.suffix == ".parquet"
    hub_names = parquet or "best_answer" in table.column_names(path)
    question, answer, category = columns = _HUB_COLUMNS if hub_names else _CSV_COLUMNS
    seen: set[str] = set()
    for row in _read_parquet(path) if parquet else table.read_table(path, columns[:2]):
        pair = PromptPair(row.text(question), row.text(answer), kind, "truthfulqa", row.optional(category))
        yield None if pair.prompt_id in seen else pair
        seen.add(pair.prompt_id)


def _read_parquet(path: Path) -> Iterator[TableRow]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")  # 40 MB that nothing else here needs
    except ImportError:
        raise Unavailable(
            "truthfulqa comes from the hub as Parquet and pyarrow is not installed; pip install pyarrow, "
            "or use the authors' CSV (truthfulqa:PATH) or the source bundled instead"
        ) from None
    found = parquet.read_table(path, columns=list(_HUB_COLUMNS)).to_pylist()
    return (TableRow(path.name, number, values) for number, values in enumerate(found, 1))


def _download(_: PairKind) -> Path:
    return download_dataset_file(
        "truthfulqa",
        repo="truthfulqa/truthful_qa",
        filename="generation/validation-00000-of-00001.parquet",
        revision="741b8276f2d1982aa3d5b832d3ee81ed3b896490",
    )


TRUTHFULQA = Source(
    name="truthfulqa",
    description="TruthfulQA: each question once, with its best answer",
    licence="Apache-2.0",
    read_pairs=_read_pairs,
    needs_file="optional",
    default_file=_download,
    kinds=("normal",),
    labels={"normal": "TruthfulQA (hub)"},
)
