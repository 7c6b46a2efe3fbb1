"""Which modules and factors a training may change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sku.core.config import TrainConfig
from sku.training.trainer import run_training


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_an_end_of_the_model_is_no_target(target: str, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"targets \\['{target}'\\] are embeddings or the output head"):
        run_training(tmp_path / "run", dataclasses.replace(config, targets=("q_proj", target)))
