"""How the fields of a CSV file are divided: spreadsheets write commas, semicolons or tabs, as the country has it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between two fields. Where a header has as many of one as of another, the first is taken."""
_SEPARATOR_LINE = re.compile(r"^\"?sep=(.)\"?\s*$", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_END_OF_FILE = "\x1a"
"""Ctrl-Z, which old programs write at the end of a text file."""


@dataclass(frozen=True)
class Dialect:
    """How the fields of one file are divided."""

    delimiter: str = ","
    spaced: bool = False
    """Whether a space follows every delimiter, so that it is no part of the next field."""


def separator_line(line: str) -> str | None:
    """The delimiter in a first line such as `sep=;`, which Excel reads and writes; None for any other line."""
    found = _SEPARATOR_LINE.match(line)
    return found[1] if found else None


def find_dialect(header: str, delimiter: str | None = None) -> Dialect:
    """How a file with this header is divided: by the delimiter that it has most of, outside quotes.

    Args:
        header: the first line of the header.
        delimiter: the delimiter, if the file names it.
    """
    best = delimiter or max(DELIMITERS, key=_QUOTED.sub("", header).count)
    names = next(csv.reader([header], delimiter=best), [])
    return Dialect(best, spaced=len(names) > 1 and all(name.startswith(" ") for name in names[1:] if name))


def is_blank(record: Sequence[str]) -> bool:
    """Whether no field holds anything, as in the rows that spreadsheets append."""
    return not "".join(record).strip(f" \t\r\n{_END_OF_FILE}\u00a0\ufeff")
