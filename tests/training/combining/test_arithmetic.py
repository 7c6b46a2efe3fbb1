"""The laws of arithmetic on task vectors, matrix by matrix."""

from __future__ import annotations

import pytest
import torch

from sku.training.combining.arithmetic import consensus, dare, projection_coefficients, ties
from sku.training.low_rank import LowRank, approximate, stack


def low_rank(seed: int, rank: int = 3, outputs: int = 12, inputs: int = 10) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    return LowRank(torch.randn(rank, inputs, generator=generator), torch.randn(outputs, rank, generator=generator))


def test_sum_then_difference_is_the_identity() -> None:
    one, two = low_rank(1), low_rank(2, rank=2)
    both = stack([one, two], [1.0, 1.0])
    assert both.rank == 5
    back = stack([both, two], [1.0, -1.0])
    assert torch.allclose(back.product(), one.product(), atol=1e-6)


def test_padding_and_scaling_and_zero() -> None:
    one = low_rank(1)
    assert torch.equal(one.padded(7).product(), one.product())
    assert one.padded(7).rank == 7
    assert torch.allclose(one.scaled(-2.0).product(), -2 * one.product())
    assert torch.equal(one.zero().product(), torch.zeros(12, 10, dtype=torch.float64))
    assert one.inner(low_rank(2)) == pytest.approx(float((one.product() * low_rank(2).product()).sum()))


@pytest.mark.parametrize("others", [1, 3])
def test_the_projection_is_orthogonal_to_every_removed_vector(others: int) -> None:
    vectors = [low_rank(seed) for seed in range(1 + others)]
    coefficients = projection_coefficients(vectors)
    left = stack(vectors, coefficients)
    assert coefficients[0] == 1
    for other in vectors[1:]:
        assert left.inner(other) == pytest.approx(0, abs=1e-4)
    if others == 1:
        wanted = -vectors[0].inner(vectors[1]) / vectors[1].inner(vectors[1])
        assert coefficients[1] == pytest.approx(wanted), "Gram-Schmidt, written out"


def test_a_vector_projected_away_from_itself_is_zero_even_with_dependent_and_zero_vectors() -> None:
    one = low_rank(1)
    vectors = [one, one, one.scaled(2), one.zero()]
    left = stack(vectors, projection_coefficients(vectors))
    assert float(left.product().norm()) < 1e-5 * float(one.product().norm())


def test_ties_of_one_vector_with_density_1_is_that_vector() -> None:
    matrix = low_rank(1).product()
    assert torch.equal(ties([matrix], 1.0), matrix)


def test_ties_by_hand() -> None:
    """Trim keeps 3 of 4; the signs of the sums are +, -, +, -; the mean is over those that have the sign."""
    one, two = torch.tensor([[4.0, -3.0, 2.0, 0.1]]), torch.tensor([[2.0, 1.0, 0.2, -5.0]])
    assert ties([one, two], 0.75).tolist() == [[3.0, -3.0, 2.0, -5.0]]
    assert ties([one, two], 0.5).tolist() == [[3.0, -3.0, 0.0, -5.0]]
    opposed = ties([torch.tensor([[1.0]]), torch.tensor([[-1.0]])], 1.0)
    assert opposed.tolist() == [[0.0]], "no sign is elected"


def test_ties_does_not_depend_on_the_order_of_the_vectors() -> None:
    matrices = [low_rank(seed).product() for seed in range(3)]
    assert torch.allclose(ties(matrices, 0.3), ties(matrices[::-1], 0.3))


def test_dare_keeps_the_sum_on_average_and_drops_the_wanted_share() -> None:
    matrices = [low_rank(seed).product() for seed in range(2)]
    exact = matrices[0] + matrices[1]
    draws = torch.stack([dare(matrices, 0.5, torch.Generator().manual_seed(seed)) for seed in range(4000)])
    spread = draws.std(0) / 4000**0.5
    assert ((draws.mean(0) - exact).abs() < 5 * spread).all(), "further off than five standard errors"
    alone = dare(matrices[:1], 0.9, torch.Generator().manual_seed(0))
    assert int((alone != 0).sum()) == pytest.approx(12, abs=10)
    kept = alone != 0
    assert torch.allclose(alone[kept], matrices[0][kept] / (1 - 0.9))


def test_dare_draws_by_its_seed_and_drops_nothing_at_0() -> None:
    matrices = [low_rank(1).product()]
    same = [dare(matrices, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])
    assert torch.equal(dare(matrices, 0.0, torch.Generator()), matrices[0])


def test_consensus_keeps_the_mean_of_entries_with_one_sign() -> None:
    one, two = torch.tensor([[1.0, -2.0, 3.0, 0.0]]), torch.tensor([[3.0, -4.0, -3.0, 5.0]])
    assert consensus([one, two]).tolist() == [[2.0, -3.0, 0.0, 0.0]]
    assert torch.equal(consensus([one, one]), one)


def test_the_decomposition_is_exact_at_full_rank_and_best_below() -> None:
    matrix = torch.randn(12, 10, generator=torch.Generator().manual_seed(0)).double()
    full, left_out = approximate(matrix, 10)
    assert left_out == 0
    assert float((full.product() - matrix).norm() / matrix.norm()) < 1e-6
    half, left_out = approximate(matrix, 5)
    assert float((half.product() - matrix).norm()) == pytest.approx(left_out, rel=1e-5)
    values = torch.linalg.svdvals(matrix)
    assert left_out == pytest.approx(float(values[5:].square().sum().sqrt())), "Eckart and Young"
