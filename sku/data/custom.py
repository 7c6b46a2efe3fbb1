"""Your own JSONL, CSV, TSV or JSON file. Its columns are found by name (`columns.py`), or named after a `#`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.columns import Columns, find_columns
from sku.data.dataset import DataSet
from sku.data.row_texts import (
    category_text,
    conversation_note,
    row_texts,
    several_note,
    with_first_answer,
    without_other_history,
)
from sku.data.safety_labels import find_labels

PAIR_FIELDS = ("prompt", "answer", "safe_answer", "category")
_NEXT_FIELD = re.compile(rf",(?=(?:{'|'.join(PAIR_FIELDS)})=)")
"""Other commas belong to the name of a column."""


def parse_columns(text: str) -> dict[str, str]:
    """Which column holds which field, from text such as `prompt=question,answer=reply`; empty text names none.

    Raises:
        ValueError: for any other text, with the fields that can be named.
    """
    named: dict[str, str] = {}
    for part in _NEXT_FIELD.split(text) if text else ():
        field, equals, column = part.partition("=")
        if field not in PAIR_FIELDS or not equals or not column or field in named:
            raise ValueError(
                f"{part!r} names no column; write FIELD=COLUMN, each of {', '.join(PAIR_FIELDS)} at most once"
            )
        named[field] = column.strip()
    return named


def load_custom(path: Path, kind: PairKind, named: Mapping[str, str]) -> DataSet:
    """One pair a row. Each field is read from the column in `named`, or else from the one that has a well-known name.

    Every column in `named` must exist, and so must the prompts. Answers may be missing: prompts alone are enough to
    measure with.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that cannot be read, or a column that is missing.
    """
    rows = list(table.read_table(path))
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    columns = without_other_history(find_columns(names, kind, named), rows)
    advice = "" if named else _columns_advice(path, names)
    for row in rows:
        table.require_columns(row, {columns.prompt, *named.values()}, advice)
    labels = find_labels(rows, columns, kind)
    kept = [row for row in rows if labels.are_of_kind(row, columns, kind)]
    pairs = tuple(_pair(row, kind, columns) for row in kept)
    left_out = len(rows) - len(kept)
    label_note = labels.note(len(rows), left_out, kind)
    if not kept:
        raise ValueError(f"{path.name} has no {kind} pair{label_note}; choose another file")
    notes = [
        columns.text,
        _unread_note(names, [*columns.read.values(), *labels.columns]),
        several_note(kept, columns),
        label_note,
        conversation_note(pairs),
        _blank_note(pairs),
    ]
    return DataSet(
        path.name,
        pairs,
        skipped=left_out,
        columns_read="".join(notes),
        columns_there=tuple(names),
    )


def _columns_advice(path: Path, names: list[str]) -> str:
    if "role" in names:
        return '; if these rows are turns, write each conversation as one row: {"messages": [its turns]}'
    if "paragraphs" in names:
        return "; if this is SQuAD as its authors publish it, write one question with its answers a row"
    name_yours = f"; name yours after the path: {path.name}#prompt=COLUMN,answer=COLUMN"
    if path.suffix.lower() not in (".csv", ".tsv"):
        return name_yours
    if len(names) == 1:
        return f"{name_yours}; or divide its fields by commas, semicolons, tabs or bars"
    return f"{name_yours}; or, if it has no names of columns, write prompt,answer as its first row"


def _unread_note(names: Sequence[str], read: Collection[str]) -> str:
    """Which columns are not read, so that nobody takes them for used."""
    unread = [name for name in names if name not in read]
    return f"; not read: {table.list_columns(unread)}" if unread else ""


def _blank_note(pairs: Sequence[PromptPair]) -> str:
    """How many pairs have no answer, if only some have none."""
    blank = sum(not pair.answer for pair in pairs)
    return f"; {blank} of {len(pairs)} rows have no answer" if 0 < blank < len(pairs) else ""


def _pair(row: table.TableRow, kind: PairKind, columns: Columns) -> PromptPair:
    texts = row_texts(with_first_answer(row, columns), columns)
    return PromptPair(
        prompt=texts.prompt,
        answer=texts.answer or "",
        kind=kind,
        source=row.file,
        category=category_text(row, columns),
        safe_answer=texts.safe_answer,
        before=texts.before,
    )


def column_names(path: Path) -> tuple[str, ...]:
    """The names of all columns of a file, in the order in which they come.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that cannot be read.
    """
    return tuple(dict.fromkeys(name for row in table.read_table(path) for name in row.values))
