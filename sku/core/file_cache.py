"""Files that are read again only when they have changed.

A page asks for the same small files at every tick of a timer and every step of a slider. Here a file is opened only if
its modification time, size or inode differs from what it was at the last read. Values are shared between callers, so
nobody may change one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from sku.core.jsonl import parse_json, require_object
from sku.core.text_lines import decode_utf8

_T = TypeVar("_T")
MAX_CACHED_FILES = 2048
"""Beyond this number the file that was asked for longest ago is forgotten."""


class FileStamp(NamedTuple):
    """What tells one state of a file from another without opening it."""

    modified_ns: int
    size: int
    inode: int


@dataclass(frozen=True)
class _Log:
    """The complete lines of a growing JSONL file."""

    lines: list[dict[str, Any]]
    end: int
    """Offset in bytes at which the next line begins."""


_cache: dict[tuple[Path, object], tuple[FileStamp, object]] = {}
"""From path and parser to the last state of the file and what was parsed from it; newest use last."""
_lock = threading.Lock()


def read_if_changed(path: Path, parse: Callable[[Path], _T]) -> _T:
    """What `parse(path)` returned when the file was last read, or a new call of it if the file has changed since.

    Args:
        path: the file.
        parse: a function of a module; its errors are raised and not remembered.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    stamp = _stamp(path)  # before the read: a change during the read is seen by the next call
    found = _recall(path, parse)
    if found is not None and found[0] == stamp:
        return cast(_T, found[1])
    parsed = parse(path)
    _remember(path, parse, stamp, parsed)
    return parsed


def read_growing_json_log(path: Path) -> list[dict[str, Any]]:
    """The same as `jsonl.read_json_log`, but only what was appended since the last call is read.

    A file that was replaced or cut is read from its beginning.

    Raises:
        ValueError: for a damaged line, unless it is the last one and was never finished; with file and line.
    """
    try:
        stamp = _stamp(path)
    except FileNotFoundError:
        return []
    found = _recall(path, read_growing_json_log)
    before, log = cast(tuple[FileStamp, _Log], found) if found else (stamp, _Log([], 0))
    if found is None or before != stamp:
        if before.inode != stamp.inode or stamp.size < log.end:
            log = _Log([], 0)
        log = _read_on(path, log)
        _remember(path, read_growing_json_log, stamp, log)
    return list(log.lines)


def _read_on(path: Path, log: _Log) -> _Log:
    with path.open("rb") as file:
        file.seek(log.end)
        added = file.read()
    complete = added[: added.rfind(b"\n") + 1]
    lines = list(log.lines)
    for line in filter(bytes.strip, complete.split(b"\n")):
        place = f"{path}, line {len(lines) + 1}"
        lines.append(require_object(parse_json(decode_utf8(line, place), place), place))
    return _Log(lines, log.end + len(complete))


def _stamp(path: Path) -> FileStamp:
    about = path.stat()
    return FileStamp(about.st_mtime_ns, about.st_size, about.st_ino)


def _recall(path: Path, parse: object) -> tuple[FileStamp, object] | None:
    with _lock:
        found = _cache.pop((path, parse), None)
        if found is not None:
            _cache[path, parse] = found
        return found


def _remember(path: Path, parse: object, stamp: FileStamp, parsed: object) -> None:
    with _lock:
        _cache.pop((path, parse), None)
        _cache[path, parse] = stamp, parsed
        while len(_cache) > MAX_CACHED_FILES:
            del _cache[next(iter(_cache))]
