"""The folders in which the project keeps its files on this machine, and an atomic write. Knows no run and no model."""

from __future__ import annotations

import glob
import os
import threading
from pathlib import Path

import platformdirs

ASSETS = Path(__file__).parents[2] / "assets"
"""The files that come with the project: data, adapters, the judge, recorded results, documents and style."""


def home() -> Path:
    """The folder for weights, runs and results: `SKU_HOME` if it is set, else the platform's cache folder."""
    return Path(os.environ.get("SKU_HOME") or platformdirs.user_cache_dir("sku", appauthor=False))


def uploads() -> Path:
    """The folder for uploaded files that runs from the page were trained on. A file is named by its content hash."""
    return home() / "uploads"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step. A reader sees the old text or the new one, never a part, even if the process dies."""
    _remove_left_over(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # a full disk must not be filled further
        raise


def _remove_left_over(path: Path) -> None:
    """Remove the temporary files that killed processes left beside `path`."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*"):
        from psutil import pid_exists  # slow to import, and there is seldom a file

        process = temporary.name.removeprefix(f".{path.name}.").partition(".")[0]
        if process.isdigit() and not pid_exists(int(process)):
            temporary.unlink(missing_ok=True)
