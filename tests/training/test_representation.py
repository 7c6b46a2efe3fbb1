"""Laws of the losses on hidden states, and of the blocks that they need."""

from __future__ import annotations

import pytest
import torch

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.models.variant_model import VariantModel
from sku.training.lora import add_lora
from sku.training.losses.inputs import TermInputs
from sku.training.losses.representation import (
    TARGET_NORM,
    keep,
    keep_squared,
    misdirect,
    random_direction,
    reroute,
    squared_mmd,
    turn_to_noise,
)
from sku.training.objective import Objective
from tests.training.runs import changed
from tests.training.test_objective import some_rows

CONFIG = TrainConfig()
BASE = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))  # two levels


def inputs(states: torch.Tensor) -> TermInputs:
    return TermInputs(torch.empty(0, 0), torch.zeros(5), torch.zeros(5), at_levels=(*states,), base_at_levels=(*BASE,))


def test_states_at_the_target_of_rmu_have_no_loss_and_those_of_base_have_a_known_one() -> None:
    size = BASE.norm(dim=-1).mean(dim=1)
    target = TARGET_NORM * size[:, None, None] * random_direction(8, CONFIG.seed).expand(2, 5, 8)
    assert float(misdirect(inputs(target), CONFIG)) == pytest.approx(0.0, abs=1e-9)
    spread = BASE.square().sum(-1).mean(-1)
    assert float(misdirect(inputs(target + BASE), CONFIG)) == pytest.approx(1.0, abs=1e-5)
    expected = ((target - BASE).square().sum(-1).mean(-1) / spread).mean()
    assert float(misdirect(inputs(BASE), CONFIG)) == pytest.approx(float(expected), rel=1e-5)


def test_the_direction_depends_on_the_seed_alone_and_has_length_one() -> None:
    assert torch.equal(random_direction(64, 1), random_direction(64, 1))
    assert not torch.allclose(random_direction(64, 1), random_direction(64, 2))
    assert float(random_direction(64, 1).norm()) == pytest.approx(1.0, abs=1e-6)


def test_rerouting_is_one_for_base_and_zero_from_a_right_angle_on() -> None:
    assert float(reroute(inputs(7 * BASE), CONFIG)) == pytest.approx(1.0, abs=1e-6), "length does not count"
    assert float(reroute(inputs(-BASE), CONFIG)) == 0.0
    turned = torch.stack([-BASE[..., 1::2], BASE[..., 0::2]], dim=-1).flatten(-2)  # orthogonal, pair by pair
    assert float(reroute(inputs(turned), CONFIG)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("base_size", [1.0, 50.0])
def test_what_keeps_states_is_zero_for_base_and_relative_to_its_size(
    base_size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "BASE", base_size * BASE)
    for loss, expected in ((keep, 0.1), (keep_squared, 0.01)):
        assert float(loss(inputs(BASE), CONFIG)) == 0.0
        assert float(loss(inputs(1.1 * BASE), CONFIG)) == pytest.approx(expected, rel=1e-4)


def test_states_that_are_the_noise_have_no_loss_and_others_more_the_farther_they_are() -> None:
    generator = torch.Generator().manual_seed(CONFIG.seed)
    noise = torch.randn(BASE.shape, generator=generator) * BASE.square().mean(dim=(1, 2), keepdim=True).sqrt()
    assert float(turn_to_noise(inputs(noise), CONFIG)) == pytest.approx(0.0, abs=1e-6)
    near, far = (float(turn_to_noise(inputs(noise + step), CONFIG)) for step in (0.5, 5.0))
    assert 0.01 < near < far


def test_the_discrepancy_is_that_of_the_means_of_two_kernels() -> None:
    left, right = BASE[0, :2].double(), BASE[0, 2:].double()
    both = torch.cat([left, right])
    distance = torch.cdist(both, both).square()
    width = distance.sum() / 20
    kernel = sum((-distance / (width * 2.0**power)).exp() for power in range(-2, 3)) / 5
    expected = kernel[:2, :2].mean() + kernel[2:, 2:].mean() - 2 * kernel[:2, 2:].mean()
    assert float(squared_mmd(left, right)) == pytest.approx(float(expected), rel=1e-6)


def test_a_loss_without_levels_says_what_to_set() -> None:
    with pytest.raises(ValueError, match="name their levels in hidden_at of its Term"):
        reroute(TermInputs(torch.empty(0, 0), torch.zeros(5), torch.zeros(5)), CONFIG)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("rmu", {"steadiness": 0.0}), ("circuit_breakers", {"rerouting": 1.0, "holding": 0.0})],
)
def test_before_the_first_step_the_model_is_its_base(
    config: TrainConfig, pico: VariantModel, method: str, expected: dict[str, float]
) -> None:
    config = changed(config, **METHODS[method].settings | {"method": method, "layers": (0.0, 0.5)})
    drawn = some_rows(config, pico.template)
    ran: list[int] = []
    objective = Objective(add_lora(pico.network, config), config)
    objective(drawn)
    for number, block in enumerate(objective._partial.blocks):
        block.mlp.register_forward_hook(lambda *_, number=number: ran.append(number))
    terms, _ = objective(drawn)
    assert {name: float(terms[name].detach()) for name in expected} == pytest.approx(expected, abs=1e-5)
    assert ran == [0], "no block above the highest level runs, and the base's states are known"


def test_an_adapter_above_the_compared_level_is_refused(config: TrainConfig, pico: VariantModel) -> None:
    config = changed(config, method="rmu", layers=(0.5, 1.0))
    with pytest.raises(ValueError, match=r"after 1 of 2 blocks, but the first adapted block is number 2, so"):
        Objective(add_lora(pico.network, config), config)
