"""Preservation divergence: how far the model may, or must, go from the base on normal text."""

from __future__ import annotations

import torch
from torch import Tensor

from sku.models.divergence import kl_from_base


def preservation(
    logits: Tensor, base_logits: Tensor, push: bool, bound: float, weights: Tensor | None = None
) -> Tensor:
    """Push the model away from the base on normal answers, or keep it close (SKU, arXiv:2402.10058).

    Published form is push: minimise minus KL. As written that has no lower bound and tears the model apart, so here
    each token's KL k counts as bound * (1 - exp(-k / bound)): k far below the bound, flat far above it.

    Args:
        logits: `[N, V]` of the model in training, at the tokens of normal answers.
        base_logits: `[N, V]` of the base, no gradient.
        push: True to go away from the base, False to stay.
        bound: nats a token that push can gain at most.
        weights: `[N]`, how much each token counts; None for all alike.

    Returns:
        Scalar, nats a token; push: from -bound to 0, keep: at least 0.
    """
    kl = kl_from_base(logits, base_logits)
    each = bound * torch.expm1(-kl / bound) if push else kl
    return each.mean() if weights is None else (each * weights).sum() / weights.sum()


def retention(logits: Tensor, base_logits: Tensor) -> Tensor:
    """Keep the model close to the base on normal answers (LLMU, arXiv:2310.10683, normal term).

    Args:
        logits: `[N, V]` of the model in training.
        base_logits: `[N, V]` of the base, no gradient.

    Returns:
        Scalar, nats a token, at least 0.
    """
    return kl_from_base(logits, base_logits).mean()
