"""JSONL, CSV and JSON as rows of named columns, one line at a time. Knows no data source.

A row number is the line in the file where the row begins, from 1; in a JSON list the item, from 1.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sku.core.text_lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, decode_utf8, open_bytes, read_lines
from sku.data.row import TableRow

TABLE_SUFFIXES = (".jsonl", ".jsonl.xz", ".csv", ".json")
MAX_JSON_BYTES = 64 << 20
"""Bytes of a JSON list: it cannot be read line by line."""

Check = Callable[[int, Collection[str]], None]


def read_table(path: Path, needed: Collection[str] = (), advice: str = "") -> Iterator[TableRow]:
    """The rows of `path`, each with all the `needed` columns; the others are carried along unchecked.

    Args:
        path: ends in one of `SUFFIXES`.
        needed: column names.
        advice: ends the error about a missing column.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file without rows, and for anything that is not such a row; with file and row number.
    """

    def check(number: int, columns: Collection[str]) -> None:
        missing = [column for column in needed if column not in columns]
        if missing:
            there = ", ".join(map(repr, columns)) or "no column at all"
            raise ValueError(f"{path.name}, row {number}: column {missing[0]!r} is missing; there is {there}{advice}")

    row = None
    for row in _reader(path)(path, check):
        yield row
    if row is None:
        raise ValueError(f"{path.name} has no rows; at least one is wanted")


def column_names(path: Path) -> tuple[str, ...]:
    """The column names of the first row: what tells one schema from another."""
    return tuple(next(read_table(path)).values)


def _reader(path: Path) -> Callable[[Path, Check], Iterator[TableRow]]:
    name = path.name.lower()
    if name.endswith(".csv"):
        return _csv
    if name.endswith((".jsonl", ".jsonl.xz")):
        return _jsonl
    if name.endswith(".json"):
        return _json
    raise ValueError(f"the kind of {path.name!r} is not known; its name must end in {', '.join(TABLE_SUFFIXES)}")


def _csv(path: Path, check: Check) -> Iterator[TableRow]:
    # The limit is the csv module's, for the whole process: raise it, never lower somebody else's.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    records = _records(path)
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


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each CSV record that is not blank, with the line where it begins."""
    reader = csv.reader(read_lines(path), strict=True)
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


def _jsonl(path: Path, check: Check) -> Iterator[TableRow]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield _object(path, number, _parsed(line, f"{path.name}, row {number}"), check)


def _json(path: Path, check: Check) -> Iterator[TableRow]:
    with open_bytes(path) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(
            f"{path.name} is larger than {MAX_JSON_BYTES >> 20} MiB; write it as .jsonl, one object a line"
        )
    text = decode_utf8(data, path.name).removeprefix(BYTE_ORDER_MARK)
    items = _parsed(text, path.name) if text.strip() else []
    if not isinstance(items, list):
        raise ValueError(f"{path.name} holds no list; a list of objects is wanted, or .jsonl with one object a line")
    for number, item in enumerate(items, 1):
        yield _object(path, number, item, check)


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is not JSON ({error.msg} at character {error.pos + 1})") from None
    except (ValueError, RecursionError) as error:  # a number of 5000 digits; brackets 1000 deep
        raise ValueError(f"{place} is JSON that cannot be read ({error})") from None


def _object(path: Path, number: int, values: Any, check: Check) -> TableRow:
    if not isinstance(values, Mapping):
        raise ValueError(f"{path.name}, row {number} is no object; one with named columns is wanted")
    check(number, values)
    return TableRow(path.name, number, values)
