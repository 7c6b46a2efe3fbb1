"""Training with rounded weights scores what a person would serve: the merged model in 4 bits."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from sku.core.config import TrainConfig
from sku.models.variant_model import VariantModel
from sku.models.weight_rounding import int4_asymmetric
from sku.training.objective import Objective
from sku.training.rounded_serving import RoundedServing
from tests.conftest import build_network, byte_tokenizer
from tests.training.test_objective import adapted, some_rows

SETTINGS = {"model": "pico", "max_tokens": 200, "batch_size": 2, "rank": 4, "alpha": 4, "targets": ("mlp",)}


@pytest.fixture(params=["llama", "opt"])
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def config_of(method: str, round_every: int) -> TrainConfig:
    return TrainConfig(method=method, normal=("bundled",), round_every=round_every, **SETTINGS)  # type: ignore[arg-type]


TEMPLATE = VariantModel(build_network("llama"), byte_tokenizer()).template


def terms_of(objective: Objective, config: TrainConfig, step: int) -> dict[str, float]:
    objective.begin_step(step)
    terms, _ = objective(some_rows(config, TEMPLATE))
    return {name: float(value.detach()) for name, value in terms.items()}


@pytest.mark.parametrize("method", ["npo", "sku_directions"])
def test_a_rounded_step_gives_the_losses_of_the_merged_and_rounded_model(architecture: str, method: str) -> None:
    config = config_of(method, 2)
    peft_model = adapted(build_network(architecture), config)
    objective = Objective(peft_model, config)
    plain, rounded = terms_of(objective, config, 1), terms_of(objective, config, 0)

    scale = -1.0 if method == "sku_directions" else 1.0
    for layer in [one for one in peft_model.modules() if isinstance(one, LoraLayer)]:
        base, change = layer.get_base_layer(), layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        exact = base.weight + scale * change
        layer.register_forward_hook(_by_hand(base, int4_asymmetric(exact) - exact, scale), prepend=True)
    expected = terms_of(objective, config, 1)
    assert rounded == pytest.approx(expected, rel=1e-4, abs=1e-5)
    if method == "sku_directions":
        assert rounded["acquisition"] == pytest.approx(plain["acquisition"], abs=1e-6), "scored in base + tau"
    assert rounded != pytest.approx(plain, rel=1e-3), "a rounding of these weights is seen"


def _by_hand(base: nn.Module, error: torch.Tensor, scale: float) -> object:
    def hook(layer: LoraLayer, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        column = layer.scaling["default"]
        served = (column * scale > 0) if isinstance(column, torch.Tensor) else 1.0
        assert base.weight.shape == error.shape
        return output + served * (inputs[0] @ error.T)

    return hook


def test_the_gradient_passes_straight_through_and_no_weight_changes() -> None:
    config = config_of("npo", 1)
    peft_model = adapted(build_network("llama"), config)
    values = copy.deepcopy(peft_model.state_dict())
    objective = Objective(peft_model, config)
    objective.begin_step(0)
    terms, _ = objective(some_rows(config, TEMPLATE))
    torch.stack([*terms.values()]).sum().backward()
    grown = [name for name, p in peft_model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert any(".lora_A." in name for name in grown)
    assert any(".lora_B." in name for name in grown)
    assert all(torch.equal(value, peft_model.state_dict()[name]) for name, value in values.items())


def test_settings_that_cannot_be_rounded_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="round_every does not work with gradient_checkpointing"):
        TrainConfig(round_every=2, gradient_checkpointing=True)
    config = config_of("npo", 1)
    peft_model = adapted(build_network("llama"), config)
    layer = next(one for one in peft_model.modules() if isinstance(one, LoraLayer))
    layer.base_layer = nn.Linear(40, 8)
    with pytest.raises(ValueError, match=r"groups of 32, and Linear\(in_features=40"):
        RoundedServing([layer], 1.0)


def test_a_resumed_run_rounds_the_same_steps(tmp_path: Path) -> None:
    """Whether a step rounds is a function of its number alone."""
    config = config_of("npo", 3)
    peft_model = adapted(build_network("llama"), config)
    first, later = Objective(peft_model, config), Objective(peft_model, config)
    seen = [terms_of(first, config, step) for step in range(4)]
    assert terms_of(later, config, 3) == seen[3] == seen[0]
    assert seen[1] == seen[2] != seen[0]
