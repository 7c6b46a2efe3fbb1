"""Random mismatch: answer harmful prompts with normal answers to something else."""

from __future__ import annotations

from torch import Tensor

from sku.training.losses.sequence import sequence_nll


def mismatch(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Descend on random normal answers to harmful prompts (LLMU, arXiv:2310.10683, random mismatch term).

    Args:
        logits: `[N, V]` at the tokens of the normal answers.
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.

    Returns:
        Scalar, nats a token.
    """
    return sequence_nll(logits, targets, rows).mean()
