"""Read JSONL, CSV and JSON files as rows of named columns, one line at a time. Knows no data source.

A row's number is the line of the file where the row begins, counted from 1; in a JSON list it is the item's number.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sku.core.jsonl import parse_json, read_json_lines, require_object
from sku.core.text_lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, decode_utf8, open_bytes, read_lines

TABLE_SUFFIXES = (".jsonl", ".jsonl.xz", ".csv", ".json")
MAX_JSON_BYTES = 64 << 20
"""The largest JSON list that is read: it cannot be read line by line."""
_MAX_SHOWN_CHARACTERS = 40
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}

ColumnCheck = Callable[[int, Collection[str]], None]
"""Gets a row's number and its column names; raises if one is missing."""


@dataclass(frozen=True)
class TableRow:
    """One row. Its errors name file, row and column. Only `optional` accepts a column that is missing."""

    file: str
    """Without its folder."""
    number: int
    """The line where it begins, from 1."""
    values: Mapping[str, object]

    def fault(self, column: str, problem: str) -> ValueError:
        """The error to raise about `column`."""
        return ValueError(f"{self.file}, row {self.number}, column {column!r}: {problem}")

    def text(self, column: str) -> str:
        """The text in `column`, which must not be blank."""
        value = self.optional(column)
        if value is None:
            raise self.fault(column, "nothing is there; text is wanted")
        return value

    def optional(self, column: str) -> str | None:
        """The text in `column`; None if it is blank, or if there is no such column."""
        value = self.values.get(column)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(column, f"{_shorten(value)} is not text; text in quotes is wanted")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self.fault(column, "half a surrogate pair is no character; write the whole character")
        return value if value.strip() else None

    def truth(self, column: str) -> bool:
        """The yes or no in `column`: a JSON boolean, or true, false, 1 or 0 in upper or lower case."""
        value = self.values.get(column)
        known = _TRUTHS.get(str(value).strip().lower())
        if known is None:
            raise self.fault(column, f"{_shorten(value)} is neither true nor false")
        return known

    def number_in(self, column: str) -> float:
        """The finite number in `column`."""
        value = self.values.get(column)
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.fault(column, f"{_shorten(value)} is not a finite number")
        return number


def read_table(path: Path, needed: Collection[str] = (), advice: str = "") -> Iterator[TableRow]:
    """The rows of `path`, each with all the `needed` columns. Other columns are passed on unchecked.

    Args:
        path: ends in one of `TABLE_SUFFIXES`.
        needed: names of columns.
        advice: ends the error about a missing column.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file without rows, and for the first row that is damaged; with file and row number.
    """

    def check(number: int, columns: Collection[str]) -> None:
        missing = [column for column in needed if column not in columns]
        if missing:
            there = ", ".join(map(repr, columns)) or "no column at all"
            raise ValueError(f"{path.name}, row {number}: column {missing[0]!r} is missing; there is {there}{advice}")

    row = None
    for row in _reader_for(path)(path, check):
        yield row
    if row is None:
        raise ValueError(f"{path.name} has no rows; at least one is wanted")


def column_names(path: Path) -> tuple[str, ...]:
    """The column names of the first row, by which the schemas of a source are told apart."""
    return tuple(next(read_table(path)).values)


def _reader_for(path: Path) -> Callable[[Path, ColumnCheck], Iterator[TableRow]]:
    name = path.name.lower()
    if name.endswith(".csv"):
        return _read_csv
    if name.endswith((".jsonl", ".jsonl.xz")):
        return _read_jsonl
    if name.endswith(".json"):
        return _read_json
    raise ValueError(f"the kind of {path.name!r} is not known; its name must end in {', '.join(TABLE_SUFFIXES)}")


def _read_csv(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    # The limit is the csv module's, for the whole process: raise it, never lower somebody else's.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    records = _csv_records(path)
    start, header = next(records, (0, []))
    if not header:
        return
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise ValueError(f"{path.name}, row {start}: column {twice[0]!r} is there twice; rename one")
    check(start, header)
    for number, record in records:
        if len(record) != len(header):
            raise ValueError(
                f"{path.name}, row {number} has {len(record)} fields where the header has {len(header)};"
                " put fields with a comma or line break in double quotes"
            )
        yield TableRow(path.name, number, dict(zip(header, record, strict=True)))


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each CSV record that is not blank, with the line where it begins."""
    reader = csv.reader(read_lines(path, f"{path.name}, row"), strict=True)
    while True:
        start = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path.name}, row {start} is not CSV ({error}); check its quotes") from None
        if record:
            yield start, record


def _read_jsonl(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    for line in read_json_lines(path, f"{path.name}, row"):
        check(line.number, line.values)
        yield TableRow(path.name, line.number, line.values)


def _read_json(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    with open_bytes(path) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(
            f"{path.name} is larger than {MAX_JSON_BYTES >> 20} MiB; write it as .jsonl, one object a line"
        )
    text = decode_utf8(data, path.name).removeprefix(BYTE_ORDER_MARK)
    items = parse_json(text, path.name) if text.strip() else []
    if not isinstance(items, list):
        raise ValueError(f"{path.name} holds no list; a list of objects is wanted, or .jsonl with one object a line")
    for number, item in enumerate(items, 1):
        values = require_object(item, f"{path.name}, row {number}")
        check(number, values)
        yield TableRow(path.name, number, values)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "..."
