"""The operations on task vectors. Pure functions of one weight matrix per operand; they know no run and no model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sku.training.low_rank import LowRank


def ties(vectors: Sequence[Tensor], density: float) -> Tensor:
    """TIES (arXiv:2306.01708, algorithm 1): trim, elect signs, merge disjointly.

    Differs from the paper in one point: entries are trimmed within each matrix, not over the whole vector.

    Args:
        vectors: one or more matrices of one shape.
        density: the share of the entries of each vector that is kept, the largest ones.

    Returns:
        For each entry, the mean over the vectors whose trimmed entry has the elected sign; 0 if there is none.
    """
    trimmed = torch.stack([_trim(vector, density) for vector in vectors])  # (vectors, outputs, inputs)
    elected = trimmed.sum(0).sign()
    agrees = trimmed.sign() == elected  # where no sign is elected, only zeros agree
    return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1)


def _trim(vector: Tensor, density: float) -> Tensor:
    kept = math.ceil(density * vector.numel())
    places = vector.abs().flatten().topk(kept).indices
    trimmed = torch.zeros_like(vector).flatten()
    trimmed[places] = vector.flatten()[places]
    return trimmed.view_as(vector)


def dare(vectors: Sequence[Tensor], drop: float, generator: torch.Generator) -> Tensor:
    """DARE (arXiv:2311.03099, equation 3): drop entries at random, rescale the others, and sum the vectors.

    Args:
        vectors: one or more matrices of one shape.
        drop: the probability with which an entry becomes 0. The others are divided by 1 - drop, so the expectation of
            the result is the sum of the vectors.
        generator: makes the draw; every vector has its own.
    """
    kept = [vector * (torch.rand(vector.shape, generator=generator) >= drop) for vector in vectors]
    return torch.stack(kept).sum(0) / (1 - drop)


def consensus(vectors: Sequence[Tensor]) -> Tensor:
    """NegMerge (arXiv:2410.05583): the mean of the entries whose sign is the same in all vectors, and 0 elsewhere."""
    stacked = torch.stack(list(vectors))
    signs = stacked.sign()
    agree = (signs == signs[0]).all(0)
    return stacked.mean(0) * agree


def projection_coefficients(vectors: Sequence[LowRank]) -> list[float]:
    """The coefficients that take the projection on the span of the other vectors out of the first.

    The result sum_i c_i v_i, with c_1 = 1, is orthogonal to v_2, v_3, ... (Gram-Schmidt, solved for all at once). With
    one other vector c_2 = -<v1, v2> / |v2|^2. Zero and dependent vectors are allowed.
    """
    first, others = vectors[0], vectors[1:]
    gram = torch.tensor([[one.inner(other) for other in others] for one in others], dtype=torch.float64)
    shared = torch.tensor([first.inner(other) for other in others], dtype=torch.float64)
    return [1.0, *(-(torch.linalg.pinv(gram, rtol=1e-12, hermitian=True) @ shared)).tolist()]
