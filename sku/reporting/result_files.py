"""Result rows on disk (JSONL) and as a data frame. Knows no figure and no model.

The recorded study lies in `assets/results`; a visitor's own evaluations in `SKU_HOME/results`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sku.core import ownership, storage
from sku.core.jsonl import read_json_lines, write_json_lines
from sku.core.records import ResultRow
from sku.core.validation import validate
from sku.core.variants import parse_variant

if TYPE_CHECKING:
    import pandas

RECORDED_STUDY = storage.ASSETS / "results" / "study.jsonl"
"""Test prompts."""
_BESIDE = ("shipped.jsonl", "shipped_rated.jsonl", "validation.jsonl")
"""Files beside it: the shipped variants on more test prompts, by the judge and by ratings (`study/ratings.py`); and the
validation prompts that decided which form and coefficient are shipped."""
_COLUMNS = {field.name: field for field in dataclasses.fields(ResultRow)}
_REQUIRED_COLUMNS = [
    name
    for name, field in _COLUMNS.items()
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
]


def read_rows(path: Path) -> list[ResultRow]:
    """The rows of a JSONL file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a damaged line, an unknown or missing column, or a value of the wrong type; with file and line.
    """
    lines = read_json_lines(path, advice="; delete the line, or evaluate again")
    return [_row(line.values, line.place) for line in lines]


def write_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Replace `path` at once. A number that is not finite is written as unknown: JSON has no word for it."""
    write_json_lines(path, ({name: _finite(value) for name, value in dataclasses.asdict(row).items()} for row in rows))


def recorded_rows() -> list[ResultRow]:
    """The study that came with the project, all sets of prompts; empty if it is not there yet."""
    files = (RECORDED_STUDY, *(RECORDED_STUDY.with_name(name) for name in _BESIDE))
    return [row for path in files if path.is_file() for row in read_rows(path)]


def shipped_form(folder: Path) -> str | None:
    """Name of the training that the rule of the study in `folder` chose, whose rows it has as `sku`'s; None before."""
    about = folder / "choice.json"
    form: str | None = json.loads(about.read_text(encoding="utf-8")).get("form") if about.is_file() else None
    return form


def own_rows(owner: str | None = None) -> tuple[list[ResultRow], list[str]]:
    """Evaluations made here, file by file, and what is wrong with files that cannot be read.

    Args:
        owner: only those that this visitor started on the page; None: all, and what lies in `SKU_HOME/results`.
    """
    rows: list[ResultRow] = []
    faults = []
    given = [] if owner else sorted((storage.home() / "results").glob("*.jsonl"))
    made = sorted((storage.home() / "evaluations").glob("*/rows.jsonl"))
    for path in [*given, *(path for path in made if owner in (None, ownership.owner_of(path.parent)))]:
        try:
            rows += read_rows(path)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return rows, faults


def rows_as_frame(rows: Sequence[ResultRow]) -> pandas.DataFrame:
    """One line a row, one column a field; decoding and sets as JSON text."""
    import pandas

    objects = [
        {
            name: json.dumps(value) if isinstance(value, dict) else value
            for name, value in dataclasses.asdict(row).items()
        }
        for row in rows
    ]
    return pandas.DataFrame(objects, columns=list(_COLUMNS))


def _row(values: dict[str, Any], place: str) -> ResultRow:
    unknown = [name for name in values if name not in _COLUMNS]
    missing = [name for name in _REQUIRED_COLUMNS if name not in values]
    if unknown or missing:
        what = f"has an unknown column {unknown[0]!r}" if unknown else f"lacks the column {missing[0]!r}"
        raise ValueError(f"{place} {what}; it was not written by this version, evaluate again")
    try:
        row = validate(ResultRow, values, place)
        parse_variant(row.variant)
        return row
    except ValueError as error:  # only some of them name the place
        raise ValueError(f"{place}: {str(error).removeprefix(f'{place}: ')}") from None


def _finite(found: Any) -> Any:
    return None if isinstance(found, float) and not math.isfinite(found) else found
