"""Rounding weights to a grid and back."""

from __future__ import annotations

import pytest
import torch

from sku.models.weight_rounding import int4_asymmetric, int4_symmetric, int8_by_output, int8_symmetric

ROUNDINGS = {"int4": int4_asymmetric, "g64": int4_symmetric, "int8": int8_symmetric, "by output": int8_by_output}


def weight(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ROUNDINGS)
def test_what_is_on_the_grid_stays_bit_for_bit(name: str) -> None:
    once = ROUNDINGS[name](weight())
    assert torch.equal(ROUNDINGS[name](once), once)


def test_int4_of_sixteen_even_steps_changes_nothing() -> None:
    row = (torch.arange(32) % 16).float()[None]
    assert torch.equal(int4_asymmetric(row), row)


def test_int4_rounds_to_the_nearest_of_sixteen_values() -> None:
    row = torch.tensor([[0.0, 15.0, 7.4, 7.6] + [0.0] * 28])
    assert int4_asymmetric(row)[0, :4].tolist() == [0, 15, 7, 8]


def test_symmetric_codes_reach_plus_and_minus_seven() -> None:
    row = torch.tensor([[-7.0, 7.0, 3.4, 0.2] + [0.0] * 60])
    assert int4_symmetric(row)[0, :4].tolist() == [-7, 7, 3, 0]


@pytest.mark.parametrize(("name", "limit"), [("int4", 0.5 / 15 * 8), ("g64", 0.5 / 7 * 5), ("int8", 0.5 / 127 * 5)])
def test_the_error_is_at_most_half_a_step(name: str, limit: float) -> None:
    assert (ROUNDINGS[name](weight()) - weight()).abs().max() < limit


def test_eight_bits_with_one_scale_per_output_keep_each_output_apart() -> None:
    both = torch.cat([weight(1), 100 * weight(2)])
    assert torch.equal(int8_by_output(both)[:6], int8_by_output(weight(1)))


@pytest.mark.parametrize("name", ROUNDINGS)
def test_zeros_stay_zeros(name: str) -> None:
    assert not ROUNDINGS[name](torch.zeros(2, 64)).any()


def test_a_weight_that_does_not_fit_the_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="48 inputs cannot be rounded in groups of 32"):
        int4_asymmetric(torch.zeros(2, 48))
