"""Finished runs on pico: random adapters with manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Manifest
from sku.models.variant_model import VariantModel
from tests.conftest import save_adapter

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(pico: VariantModel, pico_folder: Path, pairs_file: Path, normal_file: Path, tmp_path: Path) -> MakeRun:
    """A function that writes a finished run with random weights and returns its folder."""

    def make(name: str, method: str = "ga", seed: int = 1, fingerprint: str = "", **adapter: Any) -> Path:
        folder = tmp_path / name
        save_adapter(pico.network, folder / "adapter", seed=seed, **adapter)
        config = TrainConfig(
            method=method, model=str(pico_folder), harmful=(str(pairs_file),), normal=(str(normal_file),)
        )
        base = fingerprint or pico.fingerprint
        runs.write_manifest(folder, Manifest(method, config.to_dict(), str(pico_folder), base, status="finished"))
        return folder

    return make
