"""Child processes of the page: a command of this project in a folder of its own, which outlives page and app.

The folder is the only truth: `job.json` says which process it is and whose, `output.txt` what it says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from sku.core import ownership, storage

_OUTPUT = "output.txt"


def spawn_process(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Begin `python -m sku ARGUMENTS`; what `job.json` says of an owner stays."""
    with (folder / _OUTPUT).open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "sku", *arguments],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the app's terminal leaves it alone
        )
    started = psutil.Process(child.pid)
    if sys.platform != "win32":
        started.nice(10)  # the page answers first
    about: dict[str, Any] = {"pid": child.pid, "created": started.create_time()}
    if owner := ownership.owner_of(folder):
        about["owner"] = owner
    storage.write_atomically(folder / "job.json", json.dumps(about) + "\n")
    return child


def cancel_process(folder: Path) -> None:
    """Ask it to stop. Marked first: one that has only begun dies of the signal and says nothing itself."""
    found = find_process(folder)
    if found is not None:
        storage.write_atomically(folder / "job.json", json.dumps({**ownership.job(folder), "cancelled": True}) + "\n")
        found.terminate()


def delete_old_folders(parent: Path, days: float) -> None:
    """Delete the folders in `parent` that visitors left so many days ago: strangers must not fill the disk; 0: none."""
    oldest = time.time() - days * 86_400
    for folder in [path.parent for path in parent.glob("*/job.json")] if days else []:
        newest = max(file.stat().st_mtime for file in folder.iterdir())
        if newest < oldest and ownership.owner_of(folder) and find_process(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)


def find_process(folder: Path) -> psutil.Process | None:
    """Its process while it lives; a process id that went to somebody else does not count."""
    about = ownership.job(folder)
    try:
        found = psutil.Process(about["pid"])
        mine = abs(found.create_time() - about["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, TypeError, KeyError):  # it ended, or nobody knows which it was
        return None
    return found if mine else None


def last_output_line(folder: Path) -> str:
    """What it said last."""
    path = folder / _OUTPUT
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
