"""Which visitor a folder belongs to, and which process works in it: what `job.json` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sku.core.file_cache import read_if_changed

JOB = "job.json"
"""In the folder of every job that the page started: process id, time of its start, owner, whether it was cancelled."""


def job(folder: Path) -> dict[str, Any]:
    """The content of `job.json`; empty if there is none, or if it is damaged."""
    try:
        return dict(read_if_changed(folder / JOB, _parse_job))
    except OSError:
        return {}


def owner_of(folder: Path) -> str | None:
    """The visitor who started the job in `folder`, as a hash of their secret; None if it belongs to nobody."""
    found = job(folder).get("owner")
    return str(found) if found else None


def owned_folder(parent: Path, name: str, file: str, asking: str | None) -> Path | None:
    """The folder `name` in `parent` if it holds `file` and belongs to the visitor who asks, else None.

    Args:
        parent: where to look; a name with a path in it is never followed.
        name: as a visitor sent it.
        file: what makes it a folder of its kind.
        asking: hash of the visitor's secret; None may see every folder.
    """
    folder = parent / name
    there = name not in ("", "..") and Path(name).name == name and (folder / file).is_file()
    return folder if there and asking in (None, owner_of(folder)) else None


def _parse_job(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
