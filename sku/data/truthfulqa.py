"""`truthfulqa`: questions with their best answer (Lin et al. 2022), from the hub or a local file; `choices` reads the
authors' multiple-choice targets.

One pair a question. The official SKU code uses every question twice and splits by row, so that one question stands on
both sides; here it cannot.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sku.core.errors import Unavailable
from sku.core.records import PairKind, PromptPair, digest
from sku.data import hub_download, table
from sku.data.dataset import DataSet
from sku.data.row import TableRow

LICENCE = "Apache-2.0"
REPO = "truthfulqa/truthful_qa"
FILE = "generation/validation-00000-of-00001.parquet"
REVISION = "741b8276f2d1982aa3d5b832d3ee81ed3b896490"
_HUB = ("question", "best_answer", "category")
_CSV = ("Question", "Best Answer", "Category")


@dataclass(frozen=True)
class MultipleChoice:
    """A question with answers to choose from. True and false ones of MC1 are mostly those of MC2, but not always."""

    prompt: str
    best: str
    """The one true answer of MC1."""
    others: tuple[str, ...]
    """The false answers of MC1."""
    true: tuple[str, ...]
    """Of MC2."""
    false: tuple[str, ...]
    """Of MC2."""

    @property
    def prompt_id(self) -> str:
        """As that of a `PromptPair`: the question stands on the same side of the split."""
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
        """The question with every answer, each once."""
        return tuple(map(self.pair, dict.fromkeys((self.best, *self.others, *self.true, *self.false))))


def load_multiple_choice(path: Path) -> tuple[MultipleChoice, ...]:
    """The questions of the authors' `mc_task.json`: a list of question, mc1_targets and mc2_targets.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a row without true or false answers, or with several best ones; with file and row number.
    """
    return tuple(_choices(row) for row in table.read_table(path, ("question", "mc1_targets", "mc2_targets")))


def _choices(row: TableRow) -> MultipleChoice:
    best, others = _targets(row, "mc1_targets")
    if len(best) > 1:
        raise row.fault("mc1_targets", f"{len(best)} answers are called best; one is wanted")
    return MultipleChoice(row.text("question"), best[0], others, *_targets(row, "mc2_targets"))


def _targets(row: TableRow, column: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """True and false answers."""
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


def load(path: Path | None, kind: PairKind) -> DataSet:
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
    found = list(_pairs(path or hub_download.download_dataset_file("truthfulqa", REPO, FILE, REVISION)))
    first: dict[str, PromptPair] = {}
    for pair in found:
        first.setdefault(pair.prompt_id, pair)
    return DataSet("truthfulqa", tuple(first.values()), skipped=len(found) - len(first), licence=LICENCE)


def _pairs(path: Path) -> Iterator[PromptPair]:
    question, answer, category = columns = _HUB if _hub_names(path) else _CSV
    for row in _parquet(path) if path.suffix == ".parquet" else table.read_table(path, columns[:2]):
        yield PromptPair(row.text(question), row.text(answer), "normal", "truthfulqa", row.optional(category))


def _hub_names(path: Path) -> bool:
    return path.suffix == ".parquet" or "best_answer" in table.column_names(path)


def _parquet(path: Path) -> Iterator[TableRow]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")  # 40 MB that nothing else here needs
    except ImportError:
        raise Unavailable(
            "truthfulqa comes from the hub as Parquet and pyarrow is not installed; pip install pyarrow, "
            "or use the authors' CSV (truthfulqa:PATH) or the source bundled instead"
        ) from None
    found = parquet.read_table(path, columns=list(_HUB)).to_pylist()
    return (TableRow(path.name, number, values) for number, values in enumerate(found, 1))
