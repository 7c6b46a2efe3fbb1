"""Your own JSONL, CSV, TSV or JSON file. Its columns are found by name (`columns.py`), or you name them after a `#`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.columns import Columns, answer_text, find_columns, is_long_preference, left_out_note, prompt_text
from sku.data.dataset import DataSet

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
    columns = find_columns(names, kind, named)
    advice = "" if named else f"; name yours after the path: {path.name}#prompt=COLUMN,answer=COLUMN"
    for row in rows:
        table.require_columns(row, {columns.prompt, *named.values()}, advice)
    kept = [row for row in rows if not is_long_preference(row, columns)]
    return DataSet(
        path.name,
        tuple(_pair(row, kind, columns) for row in kept),
        skipped=len(rows) - len(kept),
        columns_read=columns.text + left_out_note(kept, columns),
        columns_there=tuple(names),
    )


def _pair(row: table.TableRow, kind: PairKind, columns: Columns) -> PromptPair:
    return PromptPair(
        prompt=prompt_text(row, columns),
        answer=answer_text(row, columns.answer) or "",
        kind=kind,
        source=row.file,
        category=row.optional(columns.category) if columns.category else None,
        safe_answer=answer_text(row, columns.safe_answer),
    )


def column_names(path: Path) -> tuple[str, ...]:
    """The names of all columns of a file, in the order in which they come.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that cannot be read.
    """
    return tuple(dict.fromkeys(name for row in table.read_table(path) for name in row.values))
