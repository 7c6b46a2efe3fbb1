"""One row of a data file, read as text, truth or number. Its errors name file, row and column; knows no file format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_SHOWN = 40
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class TableRow:
    """A row. Reading a column that is not there is a fault, except with `optional`."""

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
        """The text in `column`, or None where the column, or text in it, is missing."""
        value = self.values.get(column)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(column, f"{_shown(value)} is not text; text in quotes is wanted")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self.fault(column, "half a surrogate pair is no character; write the whole character")
        return value if value.strip() else None

    def truth(self, column: str) -> bool:
        """The yes or no in `column`: a JSON boolean, or true, false, 1, 0 in any case."""
        value = self.values.get(column)
        known = _TRUTHS.get(str(value).strip().lower())
        if known is None:
            raise self.fault(column, f"{_shown(value)} is neither true nor false")
        return known

    def number_in(self, column: str) -> float:
        """The finite number in `column`."""
        value = self.values.get(column)
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.fault(column, f"{_shown(value)} is no finite number")
        return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
