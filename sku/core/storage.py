"""The folders in which the project keeps its files on this machine, and an atomic write. Knows no run and no model."""

from __future__ import annotations

import os
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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
