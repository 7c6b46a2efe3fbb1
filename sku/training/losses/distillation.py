"""Losses that draw the tokens of harmful answers towards a target distribution in which the answer is less likely.

All are the KL from the target to the model. Its gradient is that of the cross-entropy, and it is 0 at the target.
"""

from __future__ import annotations

from torch import Tensor

from sku.core.config import TrainConfig
from sku.models.divergence import kl_from_base
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import row_means

_IMPOSSIBLE = 1e4
"""How much a logit is lowered to make its token impossible. Infinity would make 0 times infinity in the KL."""


def lowered_target(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Towards softmax(z0 - beta 1[h_t]): the base without its confidence in h_t (UNDIAL, arXiv:2402.10052).

    Args:
        inputs: the tokens h_t of harmful answers, with the base's logits z0.
        config: gives beta, by which the logit of h_t is lowered.

    Returns:
        Scalar in nats per token, at least 0.
    """
    return _towards(lower_logit(inputs.require_base_logits(), inputs.targets, config.used_beta), inputs)


def impossible_target(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Towards the model's own distribution, held constant, with h_t impossible (CE-U, arXiv:2503.01224).

    The gradient is that of unlikelihood training, -log(1 - p(h_t)).

    Returns:
        Scalar in nats per token, at least 0.
    """
    return _towards(lower_logit(inputs.logits.detach(), inputs.targets, _IMPOSSIBLE), inputs)


def other_prompt(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Towards the base after another prompt: what it would write if it had not been asked (causal WHP,
    arXiv:2407.16997).

    Args:
        inputs: the tokens of harmful answers, with the base's logits for the same answers after another prompt.

    Returns:
        Scalar in nats per token, at least 0.
    """
    return _towards(inputs.require_other_logits(), inputs)


def lower_logit(logits: Tensor, targets: Tensor, amount: float) -> Tensor:
    """The logits `[N, V]` with that of each target `[N]` lowered by `amount`."""
    return logits.float().scatter_add(1, targets[:, None], logits.new_full((len(targets), 1), -amount).float())


def _towards(target_logits: Tensor, inputs: TermInputs) -> Tensor:
    return row_means(kl_from_base(inputs.logits, target_logits), inputs.rows).mean()
