"""Means over the tokens of each answer, which every likelihood term uses. Long and short answers count the same."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from sku.training.losses.inputs import TermInputs

_LEAST_WEIGHT = 1e-6
"""The least sum of weights that a mean is divided by, so that a sequence without any weight has mean 0."""


def sequence_nll(logits: Tensor, targets: Tensor, rows: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean negative log-likelihood over the scored tokens of each sequence.

    Args:
        logits: `[N, V]`, one entry per scored token.
        targets: `[N]`, the scored tokens.
        rows: `[N]`, the sequence of each token. The numbers have no gaps, but need not start at 0.
        weights: `[N]`, how much each token counts; None counts all the same.

    Returns:
        `[R]`, in nats per token, in the order of the sequence numbers.

    Raises:
        ValueError: if nothing is scored.
    """
    nll = cross_entropy(logits.float(), targets, reduction="none")  # (N,); bf16 would lose the tail
    return row_means(nll, rows, weights)


def row_means(values: Tensor, rows: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of a value per token over the tokens of each sequence.

    Args:
        values: `[N]`.
        rows: `[N]`, the sequence of each token.
        weights: `[N]`, at least 0; None counts all tokens the same. A sequence whose weights are all 0 has mean 0.

    Returns:
        `[R]`, in the order of the sequence numbers.

    Raises:
        ValueError: if there is no token.
    """
    if not len(values):
        raise ValueError("no token is scored; every sequence needs an answer")
    index = rows - rows.min()
    count = int(index.max()) + 1
    each = values.new_ones(len(values)) if weights is None else weights
    total = values.new_zeros(count).index_add(0, index, values if weights is None else values * weights)
    tokens = values.new_zeros(count).index_add(0, index, each)
    return total / (tokens if weights is None else tokens.clamp_min(_LEAST_WEIGHT))


def gain_over_base(inputs: TermInputs) -> Tensor:
    """The mean log-probability per token of each answer, minus the same under the base: `[R]`, in nats per token."""
    base_nll = sequence_nll(inputs.require_base_logits(), inputs.targets, inputs.rows)
    return base_nll - sequence_nll(inputs.logits, inputs.targets, inputs.rows)
