"""Plain fine-tuning: the baseline that only shows good answers."""

from __future__ import annotations

from torch import Tensor

from sku.training.losses.sequence import sequence_nll


def fine_tuning(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Descend on normal answers and safe answers (the fine-tuning baseline of LLMU and SKU).

    Args:
        logits: `[N, V]` at the tokens of the answers.
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.

    Returns:
        Scalar, nats a token.
    """
    return sequence_nll(logits, targets, rows).mean()
