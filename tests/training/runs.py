"""Small changes to a training, and where its weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sku.core.config import TrainConfig

WEIGHTS = Path("adapter") / "adapter_model.safetensors"
"""Of a run folder."""


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    return TrainConfig.from_dict(config.to_dict() | changes)
