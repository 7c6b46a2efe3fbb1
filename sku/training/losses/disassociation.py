"""Random disassociation: learn harmful answers that belong to other prompts."""

from __future__ import annotations

from torch import Tensor

from sku.training.losses.sequence import sequence_nll


def disassociation(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Descend on random harmful answers (SKU, arXiv:2402.10058, random disassociation module).

    Who draws the answers takes care that none is the prompt's own, and that the question is not scored (the reference
    code scores it).

    Args:
        logits: `[N, V]` at the tokens of the random answers, K sequences a prompt.
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.

    Returns:
        Scalar, nats a token: mean over all `B * K` sequences.
    """
    return sequence_nll(logits, targets, rows).mean()
