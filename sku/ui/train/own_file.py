"""A visitor's own file of pairs: which of its columns are read, a preview, and what is wrong with it.

The columns are found by their names; the visitor may choose others from two lists.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from sku import data
from sku.core.records import PairKind
from sku.data.columns import find_columns
from sku.data.custom import column_names
from sku.data.dataset import DataSet
from sku.data.splits import split
from sku.data.trainable import find_fault

_PREVIEW_PAIRS = 5
"""Pairs that the preview shows."""
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

    rows: list[list[str]]
    """Prompt and answer of the first pairs."""
    summary: str
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


def preview_file(kind: PairKind, path: str | None, prompt: str | None = None, answer: str | None = None) -> Preview:
    """The first pairs of an uploaded file, and a line that counts what is in it.

    Args:
        kind: of the pairs in the file.
        path: the file; None if none was uploaded.
        prompt: the column of the prompts, if the visitor chose one.
        answer: the column of the answers, likewise.

    Raises:
        ValueError: if the file is not a table of pairs. The message names the faulty row.
    """
    if not path:
        return Preview([], "")
    columns = file_columns(kind, path, prompt, answer)
    loaded = _load(columns, kind, path)
    rows = [[pair.prompt[:120], pair.answer[:120]] for pair in loaded.pairs[:_PREVIEW_PAIRS]]
    fault = find_fault(dataclasses.replace(loaded, name=Path(path).name), kind)
    return Preview(rows, _summary(loaded, kind), f"{fault.problem}; {_advice(loaded)}" if fault else "")


def check_file(kind: PairKind, path: str | None, prompt: str | None, answer: str | None) -> None:
    """Check that a file can be trained on.

    Raises:
        ValueError: if it cannot; the message says what to do on the page.
    """
    fault = preview_file(kind, path, prompt, answer).fault
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


def _summary(loaded: DataSet, kind: PairKind) -> str:
    train = len(split(loaded.pairs, "train"))
    safe = sum(bool(pair.safe_answer) for pair in loaded.pairs)
    summary = f"{len(loaded.pairs)} {kind} pairs: {train} are used for training (split by prompt)"
    if kind == "harmful":
        summary += f", {safe} have a safe answer"
    return f"{summary}; {loaded.skipped} rows were skipped. Read: {loaded.columns_read}"


def _advice(loaded: DataSet) -> str:
    if not any(pair.answer for pair in loaded.pairs):
        return "choose the column of the answers in the list “Column of the answers”, or upload a file with answers"
    return "upload a file with more pairs; 20 or more are enough"
