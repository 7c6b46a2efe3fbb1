"""Two gradients of a step: with a neutral rule they are plain training; other rules change what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from sku.core.config import TrainConfig
from sku.data import load_pairs
from sku.models.variant_model import load_variant_model as load_model
from sku.training.gradients.rule import Gradients, RuleInputs
from sku.training.gradients.step import gradient_step
from sku.training.lora import add_lora
from sku.training.objective import Objective
from sku.training.term_batches import TermBatches
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS, changed


def gradients_of_a_step(config: TrainConfig, spread: float = 0.05) -> Gradients:
    """The gradient of the second step at factors that are not the initial ones, where the KL has a gradient."""
    model = load_model(config.model, device="cpu")
    peft_model = add_lora(model.network, config)
    harmful, normal = load_pairs(config.harmful[0], "harmful").pairs, load_pairs(config.normal[0], "normal").pairs
    batches = TermBatches(harmful, normal, config, model.template)
    objective = Objective(peft_model, config)
    parameters = {name: p for name, p in peft_model.named_parameters() if p.requires_grad}
    step = gradient_step(objective, RuleInputs(peft_model, parameters, batches, config), Accelerator())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    step.forward(objective, batches.at(0))  # leaves the coefficients of its last rows behind
    terms, _ = step.forward(objective, batches.at(1))
    total: torch.Tensor = sum(config.terms[name] * term for name, term in terms.items())  # type: ignore[assignment]
    step.backward(total, terms, config.terms)
    return {name: p.grad for name, p in parameters.items() if p.grad is not None}


@pytest.fixture
def contrast(config: TrainConfig) -> TrainConfig:
    """Forgetting rows at base + tau, and safe and normal ones at base - tau."""
    return changed(config, method="sku_contrast")


@pytest.mark.parametrize("method", ["sku_contrast", "sku"])
@pytest.mark.parametrize("neutral", ["sam@0", "projection@0", "saliency@-1000", "attribution@1", "layers@1"])
def test_a_neutral_rule_gives_the_gradient_of_the_sum(config: TrainConfig, neutral: str, method: str) -> None:
    config = changed(config, method=method, preserve_at="negated")
    plain = gradients_of_a_step(config)
    found = gradients_of_a_step(changed(config, gradient=neutral))
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("rule", ["sam@0.5", "projection", "fisher@1", "saliency", "attribution@0.5", "layers"])
def test_a_rule_that_is_not_neutral_changes_the_gradient(contrast: TrainConfig, rule: str) -> None:
    conflicting = changed(contrast, weights={"contrast": -2.0})
    plain = gradients_of_a_step(conflicting)
    found = gradients_of_a_step(changed(conflicting, gradient=rule))
    assert not all(torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-5) for name, gradient in plain.items())


def test_layers_that_run_again_in_the_backward_pass_run_with_the_same_coefficients(contrast: TrainConfig) -> None:
    """Gradient checkpointing: the keeping rows run last in the forward passes, but the forgetting ones first."""
    plain = gradients_of_a_step(changed(contrast, gradient="projection"))
    again = gradients_of_a_step(changed(contrast, gradient="projection", gradient_checkpointing=True))
    for name, gradient in plain.items():
        assert torch.allclose(again[name], gradient, rtol=1e-3, atol=1e-6), name


def b_factors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, tensor) for name, tensor in load_file(folder / WEIGHTS).items() if "lora_B" in name)


def test_only_the_chosen_entries_and_layers_move(config: TrainConfig, tmp_path: Path) -> None:
    masked = run_training(tmp_path / "masked", changed(config, method="wagle", gradient="attribution@0.25", steps=3))
    entries = torch.cat([b.flatten() for _, b in b_factors(masked.folder)])
    assert float((entries != 0).double().mean()) == pytest.approx(0.25, abs=0.01)
    layers = run_training(tmp_path / "layers", changed(config, method="pke", gradient="layers@0.5", steps=3))
    moved = {name.partition(".layers.")[2][0] for name, b in b_factors(layers.folder) if bool(b.any())}
    assert len(moved) == 1, "one of two"


def test_projection_without_a_keeping_term_says_so(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a term that keeps normal behaviour, but tv has only distortion"):
        run_training(tmp_path / "run", changed(config, method="tv", gradient="projection"))
