"""Read `job.json`: the visitor who owns a folder, and the process that works in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sku.core.file_cache import read_if_changed

JOB = "job.json"
"""This file is in the folder of every job that the page started. It holds the process id, the time at which the process
started, the owner, and whether the job was cancelled."""


def job(folder: Path) -> dict[str, Any]:
    """The content of `job.json`; empty if the file is missing or damaged."""
    try:
        return dict(read_if_changed(folder / JOB, _parse_job))
    except OSError:
        return {}


def owner_of(folder: Path) -> str | None:
    """The visitor who started the job in `folder`, as a hash of their secret; None if the folder has no owner."""
    owner = job(folder).get("owner")
    return str(owner) if owner else None


def owned_folder(parent: Path, name: str, file: str, asking: str | None) -> Path | None:
    """The folder `name` in `parent` if it contains `file` and belongs to the visitor who asks, else None.

    Args:
        parent: the folder to search. A name that contains a path is rejected.
        name: the folder name that the visitor sent.
        file: a file that every folder of the wanted kind contains.
        asking: the hash of the visitor's secret; None may see every folder.
    """
    folder = parent / name
    exists = name not in ("", "..") and Path(name).name == name and (folder / file).is_file()
    return folder if exists and asking in (None, owner_of(folder)) else None


def _parse_job(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
