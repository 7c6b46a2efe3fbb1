"""A weight change as a product of two factors, B A, and the best approximation of a matrix by such a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LowRank:
    """The matrix B A, `[outputs, inputs]`."""

    a: Tensor
    """`[rank, inputs]`"""
    b: Tensor
    """`[outputs, rank]`"""

    @property
    def rank(self) -> int:
        """The number of columns of B; the matrix may have a lower rank."""
        return len(self.a)

    @property
    def full_rank(self) -> int:
        """The largest rank that a matrix of this shape can have."""
        return min(self.a.shape[1], len(self.b))

    def product(self) -> Tensor:
        """B A in double precision."""
        return self.b.double() @ self.a.double()

    def scaled(self, factor: float) -> LowRank:
        """The product times `factor`."""
        return LowRank(self.a, self.b * factor)

    def padded(self, rank: int) -> LowRank:
        """The same matrix with zeros added to the factors, so that they have `rank`."""
        more = rank - self.rank
        a = torch.cat([self.a, self.a.new_zeros(more, self.a.shape[1])])
        return LowRank(a, torch.cat([self.b, self.b.new_zeros(len(self.b), more)], dim=1))

    def zero(self) -> LowRank:
        """The zero matrix of the same shape, with rank 0."""
        return LowRank(self.a[:0], self.b[:, :0])

    def inner(self, other: LowRank) -> float:
        """The sum of the products of all entries, without forming the matrices: tr((B'ᵀB)(A A'ᵀ))."""
        of_b = other.b.double().T @ self.b.double()
        of_a = other.a.double() @ self.a.double().T
        return float((of_b * of_a).sum())


def stack(parts: Sequence[LowRank], coefficients: Sequence[float]) -> LowRank:
    """sum_i c_i B_i A_i, exactly: the factors stand beside each other, and the rank is the sum of the ranks."""
    scaled = [part.b * c for part, c in zip(parts, coefficients, strict=True)]
    return LowRank(torch.cat([part.a for part in parts]), torch.cat(scaled, dim=1))


def approximate(matrix: Tensor, rank: int) -> tuple[LowRank, float]:
    """The closest matrix of at most `rank` (Eckart and Young), by singular value decomposition.

    Args:
        matrix: `[outputs, inputs]`.
        rank: from 1 to the smaller of the two sizes.

    Returns:
        The factors in float32, with the singular values shared equally between them, and the Frobenius norm of what
        was left out.
    """
    u, values, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    root = values[:rank].sqrt()
    factors = LowRank((root[:, None] * v[:rank]).float(), (u[:, :rank] * root).float())
    return factors, float(values[rank:].square().sum().sqrt())
