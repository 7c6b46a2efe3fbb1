"""A live session on a pico base with two runs at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sku.core import runs, storage
from sku.serving.live_session import LiveSession
from tests.conftest import keyword_session


@pytest.fixture
def live(pico_folder: Path, adapters: dict[str, Path]) -> LiveSession:
    """A pico session; two runs are at hand, none of their adapters is loaded."""
    session = keyword_session(pico_folder)
    base = session.load().fingerprint
    for name, folder in adapters.items():
        run = storage.home() / "runs" / name
        shutil.copytree(folder, run / "adapter")
        runs.write_manifest(run, runs.Manifest("sku", {}, "pico", base, status="finished"))
    return session
