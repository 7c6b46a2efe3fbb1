"""KL from the base on normal answers: pushed up as published, or kept down."""

from __future__ import annotations

import torch
from torch import Tensor

from sku.core.config import TrainConfig
from sku.models.divergence import kl_from_base
from sku.training.losses.inputs import TermInputs

OPENING_TOKENS = 4
"""Tokens of an answer in which it is decided whether it refuses: "I", "'m", " sorry", ","."""


def preserve(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Preservation divergence (SKU, arXiv:2402.10058): go away from the base on normal answers, or stay close to it.

    The published form is `push`: minimise minus KL. As written that has no lower bound and tears the model apart, so
    here each token's KL k counts as bound * (1 - exp(-k / bound)): k far below the bound, flat far above it.

    Args:
        inputs: the tokens of normal answers, with the base's logits.
        config: push or keep, the bound, and how much more the first tokens of each answer count.

    Returns:
        Scalar, nats per token; push: from -bound to 0, keep: at least 0.
    """
    kl = kl_from_base(inputs.logits, inputs.require_base_logits())
    push, bound = config.preservation == "push", config.push_bound
    per_token = bound * torch.expm1(-kl / bound) if push else kl
    weights = opening_weights(inputs.rows, config.opening_weight)
    return per_token.mean() if weights is None else (per_token * weights).sum() / weights.sum()


def retain(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Keep the model close to the base on normal answers (LLMU, arXiv:2310.10683, normal term).

    Returns:
        Scalar, nats per token, at least 0.
    """
    return kl_from_base(inputs.logits, inputs.require_base_logits()).mean()


def opening_weights(rows: Tensor, weight: float) -> Tensor | None:
    """How much each token counts when the first `OPENING_TOKENS` of every answer count `weight` times as much.

    Args:
        rows: `[N]`, the row that each token belongs to, in order.
        weight: 1 for all alike.

    Returns:
        `[N]`; None where all count alike.
    """
    if weight == 1:
        return None
    tokens = torch.unique_consecutive(rows, return_counts=True)[1].tolist()  # of each answer
    position = torch.cat([torch.arange(count, device=rows.device) for count in tokens])
    return torch.where(position < OPENING_TOKENS, weight, 1.0)
