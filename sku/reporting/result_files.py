"""Read and write result rows as JSONL files, and convert them to a data frame. Nothing here draws or loads a model.

The recorded study is in `assets/results`. A visitor's own evaluations are in `SKU_HOME`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sku.core import ownership, storage
from sku.core.jsonl import read_json_lines, write_json_lines
from sku.core.output_paths import check_output_file
from sku.core.records import ResultRow
from sku.core.validation import validate
from sku.core.variants import parse_variant

if TYPE_CHECKING:
    import pandas

RECORDED_STUDY = storage.ASSETS / "results" / "study.jsonl"
"""The rows of the study on test prompts."""
_OTHER_STUDY_FILES = ("shipped.jsonl", "shipped_rated.jsonl", "validation.jsonl")
"""Files in the same folder. The first two have the shipped variants on more test prompts, counted by the judge and by
ratings (`study/ratings.py`). The last has the validation prompts, on which the shipped form and its coefficient were
selected."""
RECORDED_ATTACKS = RECORDED_STUDY.with_name("robustness.jsonl")
"""The rows of the shipped variants under the default suite of attacks."""
_FULL_SUITE = "robustness_full.jsonl"
"""A file beside it: the most important of them, and DPO, under more attacks."""
ATTACK_JOBS = "attacks/jobs"
"""The folder under `SKU_HOME` with the attack measurements that the page started."""
RECORDED = "recorded"
"""The name of the measurement with the default suite that came with the project."""
RECORDED_FULL = "recorded-full"
"""The name of the one with more attacks."""
_COLUMNS = {field.name: field for field in dataclasses.fields(ResultRow)}
_REQUIRED_COLUMNS = [
    name
    for name, field in _COLUMNS.items()
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
]


class AttackMeasurement(NamedTuple):
    """The rows of one measurement under attack. Only rows of one measurement can be compared."""

    name: str
    rows: list[ResultRow]


def read_rows(path: Path) -> list[ResultRow]:
    """The rows of a JSONL file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a damaged line, an unknown or missing column, or a value of the wrong type; the message names
            file and line.
    """
    lines = read_json_lines(path, advice="; delete the line, or evaluate again")
    return [_row(line.values, line.place) for line in lines]


def check_rows_file(path: Path) -> None:
    """Check that the file `path` can be written, and that it replaces no file but one of result rows.

    Raises:
        ValueError: if it is a folder, a device or a file of something else, such as the data to measure with.
        OSError: if it cannot be written.
    """
    check_output_file(path)
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        first = next(read_json_lines(path), None)
    except ValueError:
        first = None
    if first is None or not {"variant", "harmful_rate"} <= first.values.keys():
        raise ValueError(f"--out {path} holds something else than result rows, which would be lost; name a new file")


def write_rows(path: Path, rows: Iterable[ResultRow]) -> None:
    """Replace `path` atomically. A number that is not finite is written as null, because JSON cannot express it."""
    write_json_lines(path, ({name: _finite(value) for name, value in dataclasses.asdict(row).items()} for row in rows))


def recorded_rows() -> list[ResultRow]:
    """All rows of the study that came with the project, on every set of prompts; empty if there is none yet."""
    files = (RECORDED_STUDY, *(RECORDED_STUDY.with_name(name) for name in _OTHER_STUDY_FILES))
    return [row for path in files if path.is_file() for row in read_rows(path)]


def shipped_form(folder: Path) -> str | None:
    """The name of the training that the study in `folder` selected and ships as `sku`; None before the selection."""
    path = folder / "choice.json"
    form: str | None = json.loads(path.read_text(encoding="utf-8")).get("form") if path.is_file() else None
    return form


def own_rows(owner: str | None = None) -> tuple[list[ResultRow], list[str]]:
    """The rows of evaluations on this machine, and an error message for every file that cannot be read.

    Rows under attack are left out: `attack_measurements` has them.

    Args:
        owner: read only the evaluations that this visitor started on the page. None reads all of them, and also the
            files in `SKU_HOME/results`.
    """
    found, errors = _read_each(_own_files("evaluations", owner))
    return [row for _, rows in found for row in rows if row.attack is None], errors


def attack_measurements(owner: str | None = None) -> tuple[list[AttackMeasurement], list[str]]:
    """The recorded measurements under attack, then those of this machine, the newest first; and an error message for
    every file that cannot be read.

    Args:
        owner: read only the measurements that this visitor started on the page. None reads all of them, and also the
            files in `SKU_HOME/results`.
    """
    own = sorted(_own_files(ATTACK_JOBS, owner), key=lambda path: path.stat().st_mtime, reverse=True)
    recorded = {RECORDED_ATTACKS: RECORDED, full_suite(): RECORDED_FULL}
    found, errors = _read_each([*filter(Path.is_file, recorded), *own])
    measurements = []
    for path, rows in found:
        name = recorded.get(path) or (path.parent.name if path.name == "rows.jsonl" else path.stem)
        if attacked := [row for row in rows if row.attack is not None]:
            measurements.append(AttackMeasurement(name, attacked))
    return measurements, errors


def full_suite() -> Path:
    """The file with the recorded rows under more attacks."""
    return RECORDED_ATTACKS.with_name(_FULL_SUITE)


def _own_files(folder: str, owner: str | None) -> list[Path]:
    """The result files of jobs in `SKU_HOME/folder`; without an owner, those in `SKU_HOME/results` too."""
    results = [] if owner else sorted((storage.home() / "results").glob("*.jsonl"))
    jobs = sorted((storage.home() / folder).glob("*/rows.jsonl"))
    return [*results, *(path for path in jobs if owner in (None, ownership.owner_of(path.parent)))]


def _read_each(paths: Iterable[Path]) -> tuple[list[tuple[Path, list[ResultRow]]], list[str]]:
    found, errors = [], []
    for path in paths:
        try:
            found.append((path, read_rows(path)))
        except (ValueError, OSError) as error:
            errors.append(str(error))
    return found, errors


def rows_as_frame(rows: Sequence[ResultRow]) -> pandas.DataFrame:
    """A data frame with one line per row and one column per field. Decoding and sets are JSON text."""
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
    if "variant" not in values:
        raise ValueError(f"{place} is no result row; give a file that evaluate or attack wrote")
    unknown = [name for name in values if name not in _COLUMNS]
    missing = [name for name in _REQUIRED_COLUMNS if name not in values]
    if unknown or missing:
        fault = f"has an unknown column {unknown[0]!r}" if unknown else f"lacks the column {missing[0]!r}"
        raise ValueError(f"{place} {fault}; another version wrote this file, so evaluate again")
    try:
        row = validate(ResultRow, _off_topic_apart(values), place)
        parse_variant(row.variant)
        return row
    except ValueError as error:  # only some of the messages already begin with the place
        raise ValueError(f"{place}: {str(error).removeprefix(f'{place}: ')}") from None


def _off_topic_apart(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a row in which safe answers and off-topic ones are counted apart.

    Earlier versions counted off-topic answers among the safe ones as well, so that the outcomes add up without them.
    """
    counts = [values.get(name) or 0 for name in ("harmful", "refusal", "safe", "broken", "unjudged")]
    off_topic = values.get("off_topic")
    if not off_topic or not all(isinstance(number, int) for number in (*counts, off_topic, values.get("n"))):
        return values
    return values | {"safe": values["safe"] - off_topic} if sum(counts) == values["n"] else values


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
