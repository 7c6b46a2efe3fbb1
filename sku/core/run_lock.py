"""The lock of a run folder: one process at a time writes a run, whatever started it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK_FILE = ".lock"


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder inside the `with` block. The folder is created if it does not exist.

    The operating system releases the lock when the process ends, however it ends. So a killed training can be resumed
    at once.

    Raises:
        FileExistsError: if another process holds the lock.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileExistsError(
            f"another process is writing the run in {folder}; wait until it has finished, stop it, or name another "
            "folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if is_new and [path.name for path in folder.iterdir()] == [_LOCK_FILE]:  # nothing was written
            (folder / _LOCK_FILE).unlink()
            with suppress(OSError):
                folder.rmdir()
