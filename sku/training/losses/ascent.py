"""Gradient ascent: make the harmful answers unlikely."""

from __future__ import annotations

from torch import Tensor

from sku.training.losses.sequence import sequence_nll


def ascent(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Ascend on harmful answers (LLMU, arXiv:2310.10683, forgetting term). Owns its minus sign; has no lower bound.

    Args:
        logits: `[N, V]` at the tokens of the harmful answers.
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.

    Returns:
        Scalar, minus nats a token.
    """
    return -sequence_nll(logits, targets, rows).mean()
