"""The laws of the methods without training steps, on plain tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sku.training.closed_forms.knowledge_washing import Moments, wash
from sku.training.closed_forms.model_surgery import opposed_rows, probe_direction
from sku.training.closed_forms.neuron_pruning import select_neurons


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def moments(keys: Tensor) -> Moments:
    found = Moments.empty(keys.shape[1], torch.device("cpu"))
    found.add(keys[:1])
    found.add(keys[1:])
    return found


def test_neurons_are_chosen_by_relative_use_not_by_use() -> None:
    harmful, normal = torch.tensor([9.0, 2.0, 0.5, 3.0]), torch.tensor([9.0, 1.0, 0.1, 3.1])
    assert select_neurons(harmful, normal, 2).tolist() == [2, 1]
    assert len(select_neurons(harmful, normal, 99)) == 4
    unused = select_neurons(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 0.0, 2.0]), 3)
    assert unused.tolist() == [1, 2, 0], "a neuron that nothing uses is the last choice, not a division by zero"


def test_moments_are_the_sums_over_all_keys() -> None:
    keys = noise(5, 3).float()
    found = moments(keys)
    assert found.tokens == 5
    assert torch.allclose(found.first, keys.double().sum(0))
    assert torch.allclose(found.second, keys.double().T @ keys.double(), atol=1e-5)


def test_washing_sends_harmful_keys_to_the_target_and_leaves_orthogonal_keys_alone() -> None:
    weight, target = noise(4, 8, seed=1), noise(4, seed=2)
    harmful, normal = torch.zeros(6, 8), torch.zeros(6, 8)
    harmful[:, :3] = noise(6, 3, seed=3).float()
    normal[:, 3:] = noise(6, 5, seed=4).float()
    change = wash(weight, moments(harmful), moments(normal), target)
    assert torch.allclose(normal.double() @ change.T, torch.zeros(6, 4, dtype=torch.float64), atol=1e-9)
    before, after = (((harmful.double() @ w.T - target) ** 2).sum() for w in (weight, weight + change))
    best = torch.linalg.lstsq(harmful.double()[:, :3], target.expand(6, 4)).solution
    least = ((harmful.double()[:, :3] @ best - target) ** 2).sum()
    assert after < before
    assert float(after) == pytest.approx(float(least), rel=0.02), "apart from the ridge, the best that a matrix can do"


def test_one_key_goes_to_the_target_and_a_large_weight_of_normal_answers_forbids_any_change() -> None:
    weight, target, key = noise(4, 8, seed=1), noise(4, seed=2), noise(1, 8, seed=3).float()
    washed = weight + wash(weight, moments(key), moments(torch.zeros(1, 8)), target)
    assert torch.allclose(washed @ key[0].double(), target, rtol=0.02, atol=0.01)
    everywhere = moments(noise(50, 8, seed=4).float())
    held = wash(weight, moments(key), everywhere, target, normal_weight=1e9)
    assert float(held.norm()) < 1e-6 * float(weight.norm())


def test_the_probe_points_to_the_harmful_side_and_not_along_noise() -> None:
    """Classes differ in dimension 0; dimension 1 is shared noise that happens to differ in the means."""
    states = noise(400, 6).float() * torch.tensor([0.3, 30.0, 1.0, 1.0, 1.0, 1.0])
    harmful, normal = states[:200].clone(), states[200:]
    harmful[:, 0] += 3.0
    direction = probe_direction(harmful, normal)
    assert float(direction.norm()) == pytest.approx(1.0, abs=1e-5)
    plain = torch.nn.functional.normalize(harmful.mean(0) - normal.mean(0), dim=0)
    assert direction[0] > plain[0]
    assert (harmful @ direction).mean() > (normal @ direction).mean() + 1
    assert torch.allclose(probe_direction(normal, harmful), -direction, atol=1e-5)


def test_the_most_opposed_rows_of_all_gates_are_edited() -> None:
    direction = torch.tensor([1.0, 0.0])
    first = torch.tensor([[-1.0, 0.0], [-5.0, 5.0], [1.0, 1.0], [0.0, 1.0]])
    second = torch.tensor([[-3.0, 0.1], [2.0, 0.0], [0.1, 9.0], [-0.1, 9.0]])
    chosen = opposed_rows([first, second], [direction, direction], 3 / 8)
    assert chosen[0].tolist() == [True, True, False, False]
    assert chosen[1].tolist() == [True, False, False, False], "the angle counts, not the length"
    assert sum(int(rows.sum()) for rows in opposed_rows([first], [direction], 0.001)) == 1
