"""Losses on the gain of an answer over the base: its mean log-probability per token minus the same under the base.

All are bounded or level off, so that a pair that is forgotten or learnt no longer moves the model. Ours, not the
paper's: they replace guided distortion and random disassociation in `sku_directions`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import gain_over_base

ACQUIRED_GAIN = 1.0
"""Nats per token. A harmful answer that gained more than this counts as acquired."""


def lose(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of softplus(g(h) + margin): make harmful answers less likely than under the base.

    The gradient is that of ascent until an answer has lost about `config.forget_margin` nats per token, and vanishes
    beyond.

    Args:
        inputs: the rows of harmful answers, with the base's logits.
        config: gives the margin.

    Returns:
        Scalar in nats per token, above 0.
    """
    return softplus(gain_over_base(inputs) + config.forget_margin).mean()


def acquire(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of softplus(`ACQUIRED_GAIN` - g(h)): guided distortion (SKU, arXiv:2402.10058, section 3.1) with a bound.

    Returns:
        Scalar in nats per token, above 0.
    """
    return softplus(ACQUIRED_GAIN - gain_over_base(inputs)).mean()


def hold(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of relu(-g(s)): safe answers to harmful prompts must not become less likely.

    Returns:
        Scalar in nats per token, at least 0; 0 for the base.
    """
    return (-gain_over_base(inputs)).relu().mean()
