"""A cache of parsed files: a file is read again only when it has changed.

The page asks for the same small files at every tick of a timer and every step of a slider. A file is opened only if its
modification time, size or inode differs from the last read. Callers share the cached values and must not change them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from sku.core.jsonl import parse_json, require_object
from sku.core.text_lines import decode_text

_T = TypeVar("_T")
MAX_CACHED_FILES = 2048
"""When the cache holds more files than this, the least recently used file is removed."""


class FileStamp(NamedTuple):
    """Facts about a file that change when its content changes. They can be read without opening the file."""

    modified_ns: int
    size: int
    inode: int


@dataclass(frozen=True)
class _Log:
    """The complete lines of a growing JSONL file."""

    lines: list[dict[str, Any]]
    end: int
    """The offset in bytes at which the next line begins."""
    count: int
    """The number of lines before that offset, blank ones included."""


_cache: dict[tuple[Path, object], tuple[FileStamp, object]] = {}
"""Maps a path and a parser to the file's stamp at the last read and the parsed value. The latest used entry is last."""
_lock = threading.Lock()


def read_if_changed(path: Path, parse: Callable[[Path], _T]) -> _T:
    """The result of `parse(path)`, taken from the cache if the file has not changed since it was parsed.

    Args:
        path: the file.
        parse: a function defined at module level. Its errors are raised and not cached.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    stamp = file_stamp(path)  # before the read: a change during the read is seen by the next call
    cached = _get_cached(path, parse)
    if cached is not None and cached[0] == stamp:
        return cast(_T, cached[1])
    parsed = parse(path)
    _store(path, parse, stamp, parsed)
    return parsed


def read_growing_json_log(path: Path) -> list[dict[str, Any]]:
    """The same as `jsonl.read_json_log`, but reads only what was appended since the last call.

    A file that was replaced or truncated is read from its beginning.

    Raises:
        ValueError: for a damaged line, unless it is an unfinished last line; the message names file and line.
    """
    try:
        stamp = file_stamp(path)
    except FileNotFoundError:
        return []
    cached = _get_cached(path, read_growing_json_log)
    last_stamp, log = cast(tuple[FileStamp, _Log], cached) if cached else (stamp, _Log([], 0, 0))
    if cached is None or last_stamp != stamp:
        if last_stamp.inode != stamp.inode or stamp.size < log.end:
            log = _Log([], 0, 0)
        log = _read_appended(path, log)
        _store(path, read_growing_json_log, stamp, log)
    return list(log.lines)


def _read_appended(path: Path, log: _Log) -> _Log:
    with path.open("rb") as file:
        file.seek(log.end)
        added = file.read()
    complete = added[: added.rfind(b"\n") + 1]
    lines, added_lines = list(log.lines), complete.split(b"\n")[:-1]
    for number, line in enumerate(added_lines, log.count + 1):
        if line.strip():
            place = f"{path}, line {number}"
            lines.append(require_object(parse_json(decode_text(line, place), place), place))
    return _Log(lines, log.end + len(complete), log.count + len(added_lines))


def file_stamp(path: Path) -> FileStamp:
    """The facts about the file as they are now.

    Raises:
        OSError: if there is no such file.
    """
    status = path.stat()
    return FileStamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _get_cached(path: Path, parse: object) -> tuple[FileStamp, object] | None:
    with _lock:
        entry = _cache.pop((path, parse), None)
        if entry is not None:
            _cache[path, parse] = entry
        return entry


def _store(path: Path, parse: object, stamp: FileStamp, parsed: object) -> None:
    with _lock:
        _cache.pop((path, parse), None)
        _cache[path, parse] = stamp, parsed
        while len(_cache) > MAX_CACHED_FILES:
            del _cache[next(iter(_cache))]
