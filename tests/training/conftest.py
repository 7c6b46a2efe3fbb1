"""A short training on pico."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.config import TrainConfig


@pytest.fixture
def config(pico_folder: Path, pairs_file: Path, normal_file: Path) -> TrainConfig:
    """A short SKU run on pico."""
    return TrainConfig(
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
        steps=6,
        batch_size=2,
        rank=4,
        max_tokens=128,
        checkpoint_every=2,
    )
