"""Whose folder it is, on a page that many visit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def job(folder: Path) -> dict[str, Any]:
    """What `job.json` says of the process that trains; nothing if there is none, or it is damaged."""
    try:
        found = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def owner_of(folder: Path) -> str | None:
    """Whose run it is, on a page that many visit: a hash of their secret."""
    found = job(folder).get("owner")
    return str(found) if found else None


def owned_folder(parent: Path, name: str, file: str, asking: str | None) -> Path | None:
    """The folder `name` in `parent`, if it holds `file` and is the asking visitor's; a name leads nowhere else.

    Args:
        parent: where to look.
        name: as somebody sent it.
        file: what makes it a folder of its kind.
        asking: hash of a visitor's secret; None may see everyone's.
    """
    folder = parent / name
    there = name not in ("", "..") and Path(name).name == name and (folder / file).is_file()
    return folder if there and asking in (None, owner_of(folder)) else None
