"""One child process: a command of this project that works in a folder and outlives the page and the app.

`job.json` in the folder says which process it is and whose; `output.txt` holds what it prints.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from sku.core import ownership, storage
from sku.core.compute_threads import command_environment
from sku.core.file_cache import read_if_changed

_OUTPUT = "output.txt"
_MAX_LAST_BYTES = 8000
_JOB_FOLDERS = ("runs/*", "evaluations/*", "attacks/jobs/*")


def spawn_process(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `python -m sku ARGUMENTS`; the owner in `job.json` stays."""
    with (folder / _OUTPUT).open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "sku", *arguments],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=command_environment(),
            start_new_session=True,  # Ctrl-C in the app's terminal does not reach it
        )
    started = psutil.Process(child.pid)
    if sys.platform != "win32":
        started.nice(10)  # the page answers first
    note: dict[str, Any] = {"pid": child.pid, "created": started.create_time()}
    if owner := ownership.owner_of(folder):
        note["owner"] = owner
    storage.write_atomically(folder / ownership.JOB, json.dumps(note) + "\n")
    return child


def cancel_process(folder: Path) -> None:
    """Ask the folder's process to stop; nothing happens if it does not run.

    The note comes before the signal: a process that has only begun dies of the signal without writing anything.
    """
    found = find_process(folder)
    if found is not None:
        note = {**ownership.job(folder), "cancelled": True}
        storage.write_atomically(folder / ownership.JOB, json.dumps(note) + "\n")
        found.terminate()


def was_cancelled(folder: Path) -> bool:
    """Whether the folder's newest process was asked to stop."""
    return bool(ownership.job(folder).get("cancelled"))


def find_process(folder: Path) -> psutil.Process | None:
    """The folder's process while it runs; a later process with the same id does not count."""
    note = ownership.job(folder)
    try:
        found = psutil.Process(note["pid"])
        same = abs(found.create_time() - note["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, TypeError, KeyError):  # it ended, or `job.json` names none
        return None
    return found if same else None


def any_job_runs() -> bool:
    """Whether a process of any job folder is running: a training, an evaluation or a measurement under attack."""
    folders = (note.parent for pattern in _JOB_FOLDERS for note in storage.home().glob(f"{pattern}/{ownership.JOB}"))
    return any(find_process(folder) is not None for folder in folders)


def last_output_line(folder: Path, wanted: re.Pattern[str] | None = None) -> str:
    """The newest line that the folder's process printed, or the newest one in which `wanted` is found; else empty."""
    try:
        lines = read_if_changed(folder / _OUTPUT, _last_lines)
    except FileNotFoundError:
        return ""
    return next((line for line in reversed(lines) if wanted is None or wanted.search(line)), "")


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MAX_LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
