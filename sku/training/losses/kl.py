"""Losses on the KL from the base on normal answers. They raise it, as published, or keep it low."""

from __future__ import annotations

import torch
from torch import Tensor

from sku.core.config import TrainConfig
from sku.models.divergence import kl_from_base
from sku.training.losses.inputs import TermInputs

OPENING_TOKENS = 4
"""The first tokens of an answer decide whether it is a refusal: "I", "'m", " sorry", ","."""


def preserve(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Preservation divergence (SKU, arXiv:2402.10058): move away from the base on normal answers, or stay close to it.

    The published form is `push`, which minimises the negative KL. That loss has no lower bound and destroys the model.
    So here the KL k of each token is replaced by bound * (1 - exp(-k / bound)), which is close to k for k far below the
    bound and approaches the bound for large k.

    Args:
        inputs: the tokens of normal answers, with the base's logits.
        config: gives push or keep, the bound, and the weight of the first tokens of each answer.

    Returns:
        Scalar in nats per token: from -bound to 0 for push, at least 0 for keep.
    """
    kl = kl_from_base(inputs.logits, inputs.require_base_logits())
    push, bound = config.preservation == "push", config.push_bound
    per_token = bound * torch.expm1(-kl / bound) if push else kl
    return _weighted_mean(per_token, inputs.rows, config)


def stay_close(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """The KL from the base on normal answers, with the opening weights of `preserve`, and never pushed up.

    Returns:
        Scalar in nats per token, at least 0.
    """
    return _weighted_mean(kl_from_base(inputs.logits, inputs.require_base_logits()), inputs.rows, config)


def _weighted_mean(per_token: Tensor, rows: Tensor, config: TrainConfig) -> Tensor:
    weights = opening_weights(rows, config.opening_weight)
    return per_token.mean() if weights is None else (per_token * weights).sum() / weights.sum()


def retain(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Keep the model close to the base on normal answers (LLMU, arXiv:2310.10683, normal term).

    Returns:
        Scalar in nats per token, at least 0.
    """
    return kl_from_base(inputs.logits, inputs.require_base_logits()).mean()


def opening_weights(rows: Tensor, weight: float) -> Tensor | None:
    """The weight of each token: `weight` for the first `OPENING_TOKENS` of every answer, and 1 for all others.

    Args:
        rows: `[N]`, the row of each token, in order.
        weight: the weight of the first tokens.

    Returns:
        `[N]`, or None if all weights are 1.
    """
    if weight == 1:
        return None
    lengths = torch.unique_consecutive(rows, return_counts=True)[1].tolist()
    position = torch.cat([torch.arange(length, device=rows.device) for length in lengths])
    return torch.where(position < OPENING_TOKENS, weight, 1.0)
