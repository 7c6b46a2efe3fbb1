"""Read JSONL, CSV, TSV and JSON files as rows of named columns, one line at a time. Knows no data source.

A row's number is the line of the file where the row begins, counted from 1; in a JSON list it is the item's number.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sku.core.jsonl import read_json, read_json_lines, require_object
from sku.core.text_lines import INVISIBLE, MAX_LINE_CHARACTERS, open_bytes, read_lines, require_fetched, require_text
from sku.data.delimited import DELIMITERS, Dialect, find_dialect, is_blank, separator_line

TABLE_SUFFIXES = (".jsonl", ".jsonl.xz", ".csv", ".json", ".tsv")
_TEXT_SUFFIXES = (".txt", ".tab", ".psv")
"""Endings that files of values between commas, semicolons, tabs or bars have, too."""
_MAX_SHOWN_CHARACTERS = 40
_MAX_SHOWN_COLUMNS = 12
_OTHER_KINDS = (
    (b"PK\x03\x04", "a spreadsheet or a zip archive; unpack it, or save it as CSV (in Excel: CSV UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; save it as CSV (in Excel: CSV UTF-8)"),
    (b"\x1f\x8b", "compressed with gzip; unpack it with: gunzip"),
    (b"PAR1", "Parquet; write it as JSONL (in pandas: to_json(path, orient='records', lines=True))"),
    (b"BZh", "compressed with bzip2; unpack it with: bunzip2"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it with: zstd -d"),
    (b"ARROW1", "Arrow; write it as JSONL (in pandas: to_json(path, orient='records', lines=True))"),
    (b"\xff\xff\xff\xff", "Arrow; write it as JSONL (in datasets: Dataset.load_from_disk(folder).to_json(path))"),
    (b"SQLite format 3", "a database; export its table as CSV"),
    (b"%PDF", "a PDF; copy its table to a spreadsheet and save that as CSV (in Excel: CSV UTF-8)"),
    (b"{\\rtf", "rich text; save it as plain text"),
    (b"<!doctype html", "a web page; download the data file itself"),
    (b"<html", "a web page; download the data file itself"),
    (b"<?xml", "XML; save it as CSV (in Excel: CSV UTF-8)"),
)
"""How files begin that people take for a table, with what they are and what to do."""
_MAX_BLANKS_BEFORE_MARK = 256
_SPREADSHEET_ERRORS = frozenset(("#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!"))
_FORCED_TEXT = re.compile(r'="(.*)"', re.DOTALL)
"""How people keep a spreadsheet from reading a cell as a number: `="0123"`."""
_ONE_OBJECT_A_LINE = "; write one whole JSON object a line"
_TRUTHS = {
    **dict.fromkeys(("true", "1", "yes", "wahr", "vrai", "verdadero", "verdadeiro"), True),
    **dict.fromkeys(("false", "0", "no", "falsch", "faux", "falso"), False),
}
"""Also as spreadsheets in other languages write them."""
_MISSING = frozenset(("NaN", "nan", "<NA>", "NULL", "null"))
"""What programs write where there is no text."""
_MARKDOWN_LINE = re.compile(r":?-{3,}:?")

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
        if value.strip() in _SPREADSHEET_ERRORS:
            raise self.fault(column, f"{value.strip()} is an error of the spreadsheet; correct the cell")
        if not _without_invisible(value) or value.strip() in _MISSING:
            return None
        return require_text(value, f"{self.file}, row {self.number}, column {column!r}")

    def truth(self, column: str) -> bool:
        """The yes or no in `column`: a JSON boolean, or true, false, yes, no, 1 or 0 in any case."""
        value = self.values.get(column)
        known = truth_of(value)
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


def truth_of(value: object) -> bool | None:
    """The yes or no that a cell holds, as `TableRow.truth` reads it; None for anything else."""
    return _TRUTHS.get(str(value).strip().lower())


def plain_name(column: str) -> str:
    """The name of a column without its case, and with one underscore for spaces and hyphens."""
    return re.sub(r"[\s_-]+", "_", column.strip().casefold())


def read_table(path: Path, needed: Collection[str] = (), advice: str = "") -> Iterator[TableRow]:
    """The rows of `path`, each with all the `needed` columns. Other columns are passed on unchecked.

    Args:
        path: ends in one of `TABLE_SUFFIXES`, or begins as JSON or JSON Lines; or a text with delimiters in its first
            line.
        needed: names of columns.
        advice: ends the error about a missing column.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file without rows, and for the first row that is damaged; with file and row number.
    """

    def check(number: int, columns: Collection[str]) -> None:
        _require(path.name, number, columns, needed, advice)

    row = None
    for row in _reader_for(path)(path, check):
        yield row
    if row is None:
        raise ValueError(f"{path.name} has no rows; at least one is wanted")


def require_columns(row: TableRow, needed: Collection[str], advice: str = "") -> None:
    """Check that a row has all the `needed` columns; `advice` ends the error about a missing one.

    Raises:
        ValueError: for the first one that is missing, with the columns that there are.
    """
    _require(row.file, row.number, row.values, needed, advice)


def _require(file: str, number: int, columns: Collection[str], needed: Collection[str], advice: str) -> None:
    missing = [column for column in needed if column not in columns]
    if missing:
        there = list_columns(columns) or "no column at all"
        raise ValueError(f"{file}, row {number}: column {missing[0]!r} is missing; there is {there}{advice}")


def list_columns(names: Collection[str]) -> str:
    """The names in quotes, at most a dozen of them."""
    more = f" and {len(names) - _MAX_SHOWN_COLUMNS} more" if len(names) > _MAX_SHOWN_COLUMNS else ""
    return ", ".join(map(repr, itertools.islice(names, _MAX_SHOWN_COLUMNS))) + more


def column_names(path: Path) -> tuple[str, ...]:
    """The column names of the first row, by which the schemas of a source are told apart."""
    return tuple(next(read_table(path)).values)


def _reader_for(path: Path) -> Callable[[Path, ColumnCheck], Iterator[TableRow]]:
    name = path.name.lower()
    open_bytes(path).close()  # raises if there is no such file
    _require_table(path)
    if name.endswith((".csv", ".tsv")) and not _holds_json(path):
        return _read_csv
    if name.endswith(".jsonl") and _begins_with(path, "["):
        return _read_json
    if name.endswith((".jsonl", ".jsonl.xz")):
        return _read_jsonl
    if name.endswith(".json"):
        return _read_json
    if _begins_with(path, "{"):
        return _read_jsonl
    if _begins_with(path, "["):
        return _read_json
    may_be_csv = name.endswith(_TEXT_SUFFIXES) or not path.suffix
    if may_be_csv and any(delimiter in _first_written_line(path) for delimiter in DELIMITERS):
        return _read_csv
    if not path.stat().st_size:
        raise ValueError(f"{path.name} is empty; at least one row is wanted")
    if name.endswith((".xlsx", ".xls", ".ods")):
        raise ValueError(f"{path.name!r} is a spreadsheet; save it as CSV (in Excel: CSV UTF-8) and give that file")
    raise ValueError(f"the kind of {path.name!r} is not known; its name must end in {', '.join(TABLE_SUFFIXES)}")


def _require_table(path: Path) -> None:
    require_fetched(path)
    with path.open("rb") as file:
        start = file.read(_MAX_BLANKS_BEFORE_MARK).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for mark, kind in _OTHER_KINDS:
        if start.startswith(mark.lower()):
            raise ValueError(f"{path.name} is {kind}")


def _read_csv(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    """Rows of values between commas, semicolons, tabs or bars. Columns without a name and blank rows are left out."""
    # The limit is the csv module's, for the whole process: raise it, never lower somebody else's.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_CHARACTERS))
    records = _csv_records(path)
    start, header = next(records, (0, []))
    if not header:
        return
    names = _clean_names(header)
    _require_unique(names, f"{path.name}, row {start}")
    first = next(records, None)
    if first is not None:
        _require_header(names, path.name, start, *first)
    check(start, [name for name in names if name])
    if first is None:
        raise ValueError(
            f"{path.name} has no rows below row {start}, which is read as the names of the columns: "
            f"{list_columns([name for name in names if name])}"
        )
    for number, record in itertools.chain([first], records):
        if _clean_names(record) == names:  # files with the same header were joined
            continue
        if len(record) > len(names) and is_blank(record[len(names) :]):
            record = record[: len(names)]
        if len(record) < len(names) and not any(names[len(record) :]):  # a spreadsheet wrote no more than it had to
            record += [""] * (len(names) - len(record))
        if len(record) != len(names):
            advice = "put fields with a comma, semicolon, tab or line break in double quotes"
            if len(record) < len(names):
                advice += ", or add the delimiters that are missing at the end of the row"
            raise ValueError(
                f"{path.name}, row {number} has {len(record)} fields where the header has {len(names)}; {advice}"
            )
        texts = map(_without_force, record)
        yield TableRow(path.name, number, {name: text for name, text in zip(names, texts, strict=True) if name})


def _require_header(names: list[str], file: str, start: int, number: int, record: list[str]) -> None:
    """Check that the first row names the columns, and is no title or comment over a table."""
    if all(_MARKDOWN_LINE.fullmatch(field.strip()) for field in record if field.strip()):
        raise ValueError(f"{file} is a Markdown table; save it as CSV, without row {number}")
    filled = sum(bool(field.strip()) for field in record)
    if sum(map(bool, names)) == 1 and filled > 1:
        raise ValueError(
            f"{file}, row {number} has {filled} fields where row {start} has one; if row {start} is a title, delete "
            "the rows above the names of the columns; else put fields with a comma, semicolon, tab or line break in "
            "double quotes"
        )


def _without_force(cell: str) -> str:
    forced = _FORCED_TEXT.fullmatch(cell)
    return forced[1].replace('""', '"') if forced else cell


def _clean_names(names: Collection[str]) -> list[str]:
    return [_without_invisible(name) for name in names]


def _without_invisible(text: str) -> str:
    """The text without what cannot be seen at its ends."""
    return text.strip().strip(INVISIBLE).strip()


def _require_unique(names: Collection[str], place: str) -> None:
    named = [name for name in names if name]
    twice = [name for name in named if named.count(name) > 1]
    if twice:
        raise ValueError(f"{place}: column {twice[0]!r} is there twice; rename one")


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line where it begins."""
    lines = read_lines(path, f"{path.name}, row", any_line_end=True)
    before, dialect, first = _first_line(lines, tabs=path.suffix.lower() == ".tsv")
    if first is None:
        return
    reader = csv.reader(
        itertools.chain([first], lines),
        delimiter=dialect.delimiter,
        skipinitialspace=dialect.spaced,
        strict=True,
    )
    while True:
        start = before + reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{path.name}, row {start} is not CSV ({error}); close every quoted field with a double quote, and "
                "write a quote inside one as two"
            ) from None
        if not is_blank(record):
            yield start, record


def _first_line(lines: Iterator[str], tabs: bool) -> tuple[int, Dialect, str | None]:
    """How many lines come before the header, how its fields are divided, and the header's first line."""
    named = None
    for before, line in enumerate(lines):
        if before == 0 and (named := separator_line(line)):
            continue
        if line.strip():
            return before, find_dialect(line, named or ("\t" if tabs and "\t" in line else None)), line
    return 0, Dialect(), None


def _read_jsonl(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    for line in read_json_lines(path, f"{path.name}, row", _ONE_OBJECT_A_LINE):
        yield _object_row(path, line.number, line.values, check)


def _read_json(path: Path, check: ColumnCheck) -> Iterator[TableRow]:
    """A list of objects, also within another object. Many tools write JSON Lines under this ending: read too."""
    if _begins_with_two_objects(path):
        yield from _read_jsonl(path, check)
        return
    advice = "; one list of objects is wanted, or .jsonl with one whole object a line"
    items = _list_of_rows(read_json(path, path.name, advice), path.name) if path.stat().st_size else []
    if items is None:
        raise ValueError(f"{path.name} holds no list; a list of objects is wanted, or .jsonl with one object a line")
    for number, item in enumerate(items, 1):
        yield _object_row(path, number, require_object(item, f"{path.name}, row {number}"), check)


def _list_of_rows(value: object, file: str) -> list[object] | None:
    """The rows in a JSON value: a list, an object with one list of objects, or an object with a list for each column.

    The columns may also be objects, or the rows objects by their number, as pandas writes them. None for any other
    value.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    lists = {
        name: one
        for name, one in value.items()
        if isinstance(one, list) and one and all(isinstance(o, dict) for o in one)
    }
    if "features" in value and isinstance(value.get("rows"), list):
        return [_viewer_row(one, f"{file}, row {number}") for number, one in enumerate(value["rows"], 1)]
    if len(lists) > 1:
        raise ValueError(f"{file} holds several lists of objects: {', '.join(map(repr, lists))}; keep one of them")
    if lists:
        return next(iter(lists.values()))
    if value and all(name.isdecimal() and isinstance(one, dict) for name, one in value.items()):
        return list(value.values())
    columns = {name: list(one.values()) if isinstance(one, dict) else one for name, one in value.items()}
    if len(columns) < 2 or not all(isinstance(one, list) for one in columns.values()):
        return None
    if len({tuple(one) if isinstance(one, dict) else len(one) for one in value.values()}) != 1:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _viewer_row(item: object, place: str) -> object:
    """The row in an item of an answer of the hub's data set viewer.

    Raises:
        ValueError: if the viewer cut it off.
    """
    item = require_object(item, place)
    if cut := item.get("truncated_cells"):
        raise ValueError(f"{place}: the hub's data set viewer cut off {cut}; download the file of the data set itself")
    return item.get("row", item)


def _object_row(path: Path, number: int, values: Mapping[str, object], check: ColumnCheck) -> TableRow:
    """The row of a JSON object, with spaces around the names taken away. NaN, which Python writes, is nothing."""
    names = _clean_names(values)
    if names != list(values):
        _require_unique(names, f"{path.name}, row {number}")
        values = dict(zip(names, values.values(), strict=True))
    check(number, values)
    return TableRow(path.name, number, {name: None if value != value else value for name, value in values.items()})


def _holds_json(path: Path) -> bool:
    return _begins_with(path, '{"') or _begins_with(path, '[{"')


def _first_written_line(path: Path) -> str:
    lines = (line.strip() for line in read_lines(path, f"{path.name}, line", any_line_end=True))
    return next(filter(None, lines), "")


def _begins_with_two_objects(path: Path) -> bool:
    lines = (line.strip() for line in read_lines(path, f"{path.name}, line", any_line_end=True))
    first = list(itertools.islice(filter(None, lines), 2)) if _begins_with(path, "{") else []
    return len(first) == 2 and all(line.startswith("{") and line.endswith("}") for line in first)


def _begins_with(path: Path, mark: str) -> bool:
    """Whether `mark` is the first character, even if the file is a list of many megabytes on one line."""
    with open_bytes(path) as stream:
        head = stream.read(256)
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return head.decode(encoding, "ignore").lstrip().startswith(mark)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "..."
