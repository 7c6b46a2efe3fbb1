"""Check that a result can be written to a path, before the work that makes the result begins."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MIN_FREE_BYTES = 50_000_000
"""Room for the answers, rows and logs of a measurement."""


def check_output_file(path: Path, needs_bytes: int = MIN_FREE_BYTES, flag: str = "--out") -> None:
    """Check that the file `path` can be written or replaced.

    Raises:
        ValueError: if it is a folder, or a device such as /dev/null, which the file would replace.
        OSError: if its folder cannot be written to, or the disk is too full.
    """
    if path.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file, such as {path / 'result'}{path.suffix or '.jsonl'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{flag} {path} is not a file; name one that can be replaced")
    _check_writable(path, path.parent, needs_bytes, flag)


def check_output_folder(path: Path, needs_bytes: int = MIN_FREE_BYTES, flag: str = "--out") -> None:
    """Check that the folder `path` can be made or written to.

    Raises:
        ValueError: if it is a file.
        OSError: if it cannot be made or written to, or the disk is too full.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{flag} {path} is a file; name a folder")
    _check_writable(path, path, needs_bytes, flag)


def _check_writable(path: Path, folder: Path, needs_bytes: int, flag: str) -> None:
    """Check by writing: permissions alone do not tell of a read-only disk, nor do they bind an administrator."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is a file")
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{flag} {path} cannot be written ({reason}); name a path that can be written to") from error
    if free < needs_bytes:
        raise OSError(
            f"{flag} {path} needs about {needs_bytes / 1e6:.0f} MB, but {free / 1e6:.0f} MB are free; make room, or "
            "name a path on another disk"
        )
