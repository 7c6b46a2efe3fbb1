"""Directions in which harmful inputs differ from normal ones: the algebra, the sums, and that training keeps them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor

from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.models.batching import EncodedPair
from sku.models.variant_model import load_variant_model
from sku.training.directions import WatchedRow, leading_directions, leading_eigenvectors, second_moments
from sku.training.gradients.retained import RETAINED_SHARE, retained_subspace
from sku.training.lora import add_lora
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS


def moments(seed: int, size: int = 6) -> Tensor:
    x = torch.randn(40, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.T @ x / len(x)


@pytest.fixture
def forgetting(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(config, method="sku_directions", targets=("mlp",), layers=(0.5, 1.0), kl_budget=0.05)


def test_no_direction_has_a_larger_ratio_than_the_leading_one() -> None:
    harmful, normal = moments(0), moments(1)
    leading = leading_directions(harmful, normal, 3)
    ratio = torch.einsum("ik,kl,il->i", leading, harmful, leading) / torch.einsum(
        "ik,kl,il->i", leading, normal, leading
    )
    others = torch.randn(500, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    best = (
        torch.einsum("ik,kl,il->i", others, harmful, others) / torch.einsum("ik,kl,il->i", others, normal, others)
    ).max()
    assert float(ratio[-1]) >= float(best)
    assert ratio.tolist() == sorted(ratio.tolist())
    assert torch.allclose(torch.einsum("ik,kl,il->i", leading, harmful, leading), torch.ones(3, dtype=torch.float64))


def test_the_direction_of_a_planted_difference_is_found() -> None:
    planted = torch.nn.functional.normalize(torch.arange(1.0, 7.0, dtype=torch.float64), dim=0)
    normal = torch.eye(6, dtype=torch.float64)
    (found,) = leading_directions(normal + 50 * torch.outer(planted, planted), normal, 1)
    assert abs(float(torch.nn.functional.normalize(found, dim=0) @ planted)) == pytest.approx(1.0, abs=1e-9)


def test_leading_eigenvectors_are_orthonormal_and_gain_most() -> None:
    contrast = moments(0) - 0.5 * moments(1)
    leading = leading_eigenvectors(contrast, 2)
    assert torch.allclose(leading @ leading.T, torch.eye(2, dtype=torch.float64), atol=1e-12)
    gained = torch.einsum("ik,kl,il->i", leading, contrast, leading)
    assert gained.tolist() == pytest.approx(torch.linalg.eigvalsh(contrast)[-2:].tolist())


def test_outputs_that_normal_answers_use_are_held_back_and_others_are_not() -> None:
    used = torch.nn.functional.normalize(torch.arange(1.0, 17.0, dtype=torch.float64), dim=0)
    subspace = retained_subspace(torch.outer(used, used))
    assert subspace.shape == (16, round(16 * RETAINED_SHARE))
    assert torch.allclose(subspace @ (subspace.T @ used), used)
    other = torch.eye(16, dtype=torch.float64)[3]
    outside = other - subspace @ (subspace.T @ other)
    assert float((subspace.T @ outside).norm()) == pytest.approx(0.0, abs=1e-12)


def test_second_moments_are_those_of_the_watched_tokens(pico_folder: Path, forgetting: TrainConfig) -> None:
    model = load_variant_model(pico_folder, device="cpu")
    peft_model = add_lora(model.network, forgetting)
    layers = [module for module in peft_model.modules() if isinstance(module, LoraLayer)]
    rows = [WatchedRow(EncodedPair((5, 6, 7, 8, 9), 3), 2), WatchedRow(EncodedPair((5, 9, 4), 1), 0)]
    inputs: list[Tensor] = []
    hook = layers[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row.encoded.ids])
            peft_model.get_base_model().base_model(input_ids=ids, use_cache=False)
    hook.remove()
    watched = torch.cat([x[0, row.first :] for x, row in zip(inputs, rows, strict=True)]).double()
    found = second_moments(peft_model, layers, rows)
    assert len(found) == len(layers) == 3
    assert torch.allclose(found[0], watched.T @ watched / 6, atol=1e-6)
    assert found[0] is found[1], "gate and up read the same input"
    assert found[2].shape != found[0].shape, "down reads the wider one"
    (written,) = second_moments(peft_model, layers[:1], rows, of_outputs=True)
    outputs = watched.float() @ layers[0].get_base_layer().weight.detach().T
    assert torch.allclose(written.float(), outputs.T @ outputs / 6, atol=1e-5)


def test_only_b_is_trained_and_a_resumed_run_ends_alike(forgetting: TrainConfig, tmp_path: Path) -> None:
    short = run_training(tmp_path / "short", dataclasses.replace(forgetting, steps=1))
    whole = run_training(tmp_path / "whole", forgetting)
    seen: list[int] = []
    with pytest.raises(Cancelled):
        run_training(tmp_path / "cut", forgetting, lambda line: seen.append(line.get("step", 0)), lambda: 3 in seen)
    cut = run_training(tmp_path / "cut", forgetting, resume=True)
    assert (cut.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
    first, last = load_file(short.folder / WEIGHTS), load_file(whole.folder / WEIGHTS)
    for name, factor in last.items():
        assert torch.equal(factor, first[name]) == ("lora_A" in name)


def test_too_large_a_rank_is_refused_before_the_first_step(forgetting: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rank 64 is larger than the 32 inputs of an adapted layer; lower it"):
        run_training(tmp_path / "run", dataclasses.replace(forgetting, rank=64))
