"""A visitor's own file of pairs: which of its columns are read, a preview, and what is wrong with it.

The columns are found by their names; the visitor may choose others from two lists.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

from sku import data
from sku.core.records import PairKind
from sku.data.columns import find_columns
from sku.data.custom import column_names
from sku.data.dataset import DataSet
from sku.data.table import read_table
from sku.data.trainable import find_fault, rows_to_train

_PREVIEW_ROWS = 5
"""Rows that the preview shows."""
_CELL_CHARACTERS = 120
_COMMAND_LINE_ADVICE = "; name yours after the path"


@dataclass(frozen=True)
class FileColumns:
    """The columns of a file, and which of them hold prompts and answers; None where none of them seems to."""

    names: tuple[str, ...]
    prompt: str | None
    answer: str | None

    def spec(self, path: str, kind: PairKind) -> str:
        """The source that reads these columns. A file whose columns are found by name needs no more than its path."""
        found = _find(self.names, kind)
        if (self.prompt, self.answer) == (found.prompt, found.answer):
            return path
        chosen = [("prompt", self.prompt), ("answer", self.answer)]
        return f"{path}#" + ",".join(f"{field}={column}" for field, column in chosen if column)


@dataclass(frozen=True)
class Preview:
    """What the page shows of a file before it is used."""

    headers: list[str]
    """All columns of the file."""
    rows: list[list[str]]
    """The first rows, cut short."""
    summary: str
    """Counts the rows, and says what the split does with them."""
    fault: str = ""
    """Why it cannot be trained on; empty if it can."""


def file_columns(kind: PairKind, path: str, prompt: str | None = None, answer: str | None = None) -> FileColumns:
    """The columns of a file. The chosen ones are kept if the file has them, and else found by name.

    Raises:
        ValueError: if the file cannot be read as a table.
    """
    found = _find(column_names(Path(path)), kind)
    kept = prompt in found.names
    return FileColumns(
        found.names,
        prompt if kept else found.prompt,
        answer if kept and answer in found.names else found.answer,
    )


def preview_file(
    kind: PairKind, path: str | None, prompt: str | None = None, answer: str | None = None, all_rows: bool = False
) -> Preview:
    """The first rows of an uploaded file with all columns, and a sentence that says how many of them are trained on.

    Args:
        kind: of the pairs in the file.
        path: the file; None if none was uploaded.
        prompt: the column of the prompts, if the visitor chose one.
        answer: the column of the answers, likewise.
        all_rows: whether to train on every row.

    Raises:
        ValueError: if the file is not a table. The message names the faulty row.
    """
    if not path:
        return Preview([], [], "")
    columns = file_columns(kind, path, prompt, answer)
    first = itertools.islice(read_table(Path(path)), _PREVIEW_ROWS)
    rows = [[_cell(row.values.get(name)) for name in columns.names] for row in first]
    try:
        loaded = _load(columns, kind, path)
    except ValueError as error:  # the columns are shown all the same, so that others can be chosen
        return Preview(list(columns.names), rows, "", str(error))
    fault = find_fault(dataclasses.replace(loaded, name=Path(path).name), kind, hold_out=not all_rows)
    said = f"{fault.problem}; {_advice(loaded)}" if fault else ""
    return Preview(list(columns.names), rows, _summary(loaded, kind, all_rows), said)


def check_file(
    kind: PairKind, path: str | None, prompt: str | None, answer: str | None, all_rows: bool = False
) -> None:
    """Check that a file can be trained on.

    Raises:
        ValueError: if it cannot; the message says what to do on the page.
    """
    fault = preview_file(kind, path, prompt, answer, all_rows).fault
    if fault:
        raise ValueError(fault)


def _find(names: tuple[str, ...], kind: PairKind) -> FileColumns:
    found = find_columns(names, kind, {})
    return FileColumns(names, found.prompt if found.prompt in names else None, found.answer)


def _load(columns: FileColumns, kind: PairKind, path: str) -> DataSet:
    if columns.prompt is None:
        raise ValueError(
            f"none of the columns {', '.join(map(repr, columns.names))} has a name that prompts usually have; choose "
            "the one with the prompts in the list “Column of the prompts”"
        )
    try:
        return data.load_pairs(columns.spec(path, kind), kind)
    except ValueError as error:
        raise ValueError(str(error).partition(_COMMAND_LINE_ADVICE)[0]) from error


def _summary(loaded: DataSet, kind: PairKind, all_rows: bool) -> str:
    count, used = len(loaded.pairs), len(rows_to_train(loaded, hold_out=not all_rows))
    safe = sum(bool(pair.safe_answer) for pair in loaded.pairs)
    parts = [f"{count} {kind} {'pair' if count == 1 else 'pairs'} ({loaded.columns_read})"]
    if kind == "harmful" and safe:
        parts.append(f"{safe} {'has' if safe == 1 else 'have'} a safe answer")
    warning = f" Warning: {loaded.warning}." if loaded.warning else ""
    return f"{', '.join(parts)}. {_split_sentence(count, used, all_rows)}{warning}"


def _split_sentence(count: int, used: int, all_rows: bool) -> str:
    """What the split does with the rows of a file."""
    if used == count:
        every = "The only one trains" if count == 1 else f"All {count} train"
        return f"{every}, so no prompt of this file is left to measure the run on."
    left = count - used
    if all_rows:
        kept = "one is a prompt" if left == 1 else f"{left} are prompts"
        return f"{used} of {count} train; the other {kept} that this project measures every run on."
    other, them = ("one", "it") if left == 1 else (f"{left}", "them")
    return (
        f"{used} of {count} train; a hash of the prompt keeps the other {other} unseen, so that the run can be "
        f"measured on {them}."
    )


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"


def _advice(loaded: DataSet) -> str:
    if not any(pair.answer for pair in loaded.pairs):
        return "choose the column of the answers in the list “Column of the answers”, or upload a file with answers"
    return "upload a file with more pairs; 20 or more are enough"
