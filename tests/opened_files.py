"""Counts the files that Python opens, whatever opens them: `open`, `pathlib`, `os.open` raise the same audit event."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_listeners: list[tuple[Path, list[str]]] = []


def _heard(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _listeners and isinstance(args[0], str | bytes | os.PathLike):
        path = Path(os.fsdecode(args[0]))
        for folder, found in _listeners:
            if path.is_relative_to(folder):
                found.append(str(path))


sys.addaudithook(_heard)  # for the rest of the process: a hook cannot be removed


@contextmanager
def opened_files(folder: Path) -> Iterator[list[str]]:
    """The paths of files under `folder` that are opened in the block, in order."""
    listener: tuple[Path, list[str]] = (folder, [])
    _listeners.append(listener)
    try:
        yield listener[1]
    finally:
        _listeners.remove(listener)
