"""Where things are kept on this machine, and files that are replaced at once. Knows no run and no model."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

ASSETS = Path(__file__).parents[2] / "assets"
"""What comes with the project: data, adapters, the judge, recorded results, documents, style."""


def home() -> Path:
    """The folder for provisioned weights, runs and results: `SKU_HOME`, else the platform's cache folder."""
    return Path(os.environ.get("SKU_HOME") or platformdirs.user_cache_dir("sku", appauthor=False))


def uploads() -> Path:
    """The folder for files that runs from the page were trained on, named by content."""
    return home() / "uploads"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file at once: a reader, or a kill, sees the old text or the new, never half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
