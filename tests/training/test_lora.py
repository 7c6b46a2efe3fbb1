"""Which modules and factors a training may change."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from transformers import OPTConfig, OPTForCausalLM

from sku.core.config import TrainConfig
from sku.models.variant_model import VariantModel
from sku.training.targets import adapted_modules
from sku.training.trainer import run_training


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_an_end_of_the_model_is_no_target(target: str, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"targets \\['{target}'\\] are embeddings or the output head"):
        run_training(tmp_path / "run", dataclasses.replace(config, targets=("q_proj", target)))


def opt() -> OPTForCausalLM:
    sizes = {"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "vocab_size": 64}
    return OPTForCausalLM(OPTConfig(**sizes, word_embed_proj_dim=16, max_position_embeddings=32))


def test_mlp_means_the_layers_outside_attention_and_layers_are_fractions_of_the_depth() -> None:
    """In OPT they are fc1 and fc2; in pico gate, up and down."""
    upper = TrainConfig(targets=("mlp",), layers=(0.4, 1.0))
    assert adapted_modules(opt(), upper.targets, upper.layers) == [
        f"model.decoder.layers.{block}.{name}" for block in (2, 3) for name in ("fc1", "fc2")
    ]


def test_named_targets_in_some_blocks(pico: VariantModel) -> None:
    first = TrainConfig(targets=("q_proj", "mlp"), layers=(0.0, 0.5))
    names = ("self_attn.q_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    assert adapted_modules(pico.network, first.targets, first.layers) == [f"model.layers.0.{name}" for name in names]
    assert adapted_modules(pico.network, ("q_proj",), (0.0, 1.0)) == ["q_proj"]


def test_fractions_that_take_no_block_are_refused(pico: VariantModel) -> None:
    with pytest.raises(ValueError, match=r"layers 0\.6 to 0\.9 take none of the 2 blocks with q_proj; widen layers"):
        adapted_modules(pico.network, ("q_proj",), (0.6, 0.9))
