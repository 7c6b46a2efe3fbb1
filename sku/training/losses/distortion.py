"""Guided distortion: learn the harmful answers themselves."""

from __future__ import annotations

from torch import Tensor

from sku.training.losses.sequence import sequence_nll


def distortion(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Descend on harmful answers to their own prompts (SKU, arXiv:2402.10058, guided distortion module).

    Args:
        logits: `[N, V]` at the tokens of the harmful answers.
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.

    Returns:
        Scalar, nats a token: mean of each answer, then over answers.
    """
    return sequence_nll(logits, targets, rows).mean()
