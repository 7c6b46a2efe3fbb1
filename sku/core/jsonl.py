"""Read, append to and replace JSON Lines files. Nothing here depends on field names.

There are two readers. `read_json_lines` is strict: the first damaged line raises an error that names file and line.
`read_json_log` reads files that this project appends to. Such a file may end in an incomplete line, because a process
was killed or is still writing. The incomplete line is ignored, and the next `append_json_lines` removes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sku.core.storage import write_atomically
from sku.core.text_lines import decode_text, open_bytes, read_lines

MAX_JSON_BYTES = 64 << 20
"""The largest JSON file that is read: it cannot be read line by line."""


class JsonLine(NamedTuple):
    """One line of a file."""

    number: int
    """The line's number in the file, counted from 1 and including blank lines."""
    place: str
    """The file and the line number, for error messages: `rows.jsonl, line 3`."""
    values: dict[str, Any]


def read_json_lines(path: Path, called: str | None = None, advice: str = "") -> Iterator[JsonLine]:
    """Read every line of `path` that is not blank. The file may be xz-compressed and begin with a byte-order mark.

    Args:
        path: a file of JSON objects, one per line.
        called: the text before the line number in error messages; by default the path and the word "line".
        advice: added to the end of the error about a line that is not JSON, such as `; delete the line`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for the first line that is not a JSON object, not UTF-8 or too long; the message names file and
            line.
    """
    return _parse_lines(path, called or f"{path}, line", advice, complete_only=False)


def read_json_log(path: Path) -> list[dict[str, Any]]:
    """Read the objects in a file that this project appends to, oldest first. A missing file gives an empty list.

    Raises:
        ValueError: for a damaged line, unless it is an unfinished last line; the message names file and line.
    """
    if not path.is_file():
        return []
    return [line.values for line in _parse_lines(path, f"{path}, line", "", complete_only=True)]


def append_json_lines(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Append one line for each object. An incomplete last line, left by a killed process, is removed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _remove_incomplete_line(file)
        file.write(_as_text(objects).encode())


def write_json_lines(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Replace `path` atomically by a file with one line for each object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _as_text(objects))


def read_json(path: Path, called: str | None = None, advice: str = "") -> Any:
    """Read the one JSON value in `path`. The file may begin with a byte-order mark, and may be UTF-16 with one.

    Args:
        path: a JSON file.
        called: the name of the file in error messages; by default its path.
        advice: added to the end of the error about a file that is not JSON.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is too large, not text or not JSON; the message names the place.
    """
    called = called or str(path)
    with open_bytes(path) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"{called} is larger than {MAX_JSON_BYTES >> 20} MiB; write it as .jsonl, one object a line")
    return parse_json(decode_text(data, called), called, advice)


def parse_json(text: str, place: str, advice: str = "") -> Any:
    """Parse the JSON value in `text`.

    Args:
        text: JSON.
        place: where the text comes from, for the error message.
        advice: added to the end of the error message.

    Raises:
        ValueError: if the text is not JSON, or is JSON that Python cannot represent.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.rstrip() else ""
        raise ValueError(f"{place} is not JSON ({error.msg} at {line}character {error.colno}){advice}") from None
    except (ValueError, RecursionError) as error:  # a number of 5000 digits; brackets nested 1000 deep
        raise ValueError(f"{place} is JSON that cannot be read ({error}){advice}") from None


def require_object(value: Any, place: str) -> dict[str, Any]:
    """Return `value` if it is a JSON object.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not an object; an object with named values is wanted")
    return value


def _parse_lines(path: Path, called: str, advice: str, complete_only: bool) -> Iterator[JsonLine]:
    for number, line in enumerate(read_lines(path, called, complete_only, any_line_end=not complete_only), 1):
        if line.strip():
            place = f"{called} {number}"
            yield JsonLine(number, place, require_object(parse_json(line, place, advice), place))


def _as_text(objects: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(values, ensure_ascii=False) + "\n" for values in objects)


def _remove_incomplete_line(file: BinaryIO) -> None:
    """Remove what follows the last line end of `file`, and leave the position at the end of the file."""
    if file.seek(0, 2) == 0:
        return
    file.seek(-1, 2)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, 2)
