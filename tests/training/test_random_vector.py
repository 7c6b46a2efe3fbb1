"""The random control has the norms of the adapter that it imitates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sku.core.config import DecodingConfig, TrainConfig
from sku.serving.live_session import LiveSession
from sku.training.trainer import run_training
from sku.training.vector_norms import product_norm
from tests.training.runs import WEIGHTS, changed

DECODING = DecodingConfig(max_new_tokens=4)


def test_the_random_control_has_the_norms_of_its_model(config: TrainConfig, tmp_path: Path) -> None:
    like = run_training(tmp_path / "like", changed(config, method="tv"))
    noise = run_training(tmp_path / "noise", changed(config, method="random", like=str(like.folder), seed=5))
    learned, drawn = load_file(like.folder / WEIGHTS), load_file(noise.folder / WEIGHTS)
    assert learned.keys() == drawn.keys()
    for name in learned:
        if ".lora_A." in name:
            other = name.replace(".lora_A.", ".lora_B.")
            dense = torch.linalg.norm(learned[other].double() @ learned[name].double())
            assert product_norm(learned[name], learned[other]) == pytest.approx(float(dense), rel=1e-9)
            assert product_norm(drawn[name], drawn[other]) == pytest.approx(float(dense), rel=1e-5)
            assert not torch.allclose(learned[name], drawn[name])
    LiveSession(config.model).answers(["Hi"], [str(noise.folder)], DECODING)
