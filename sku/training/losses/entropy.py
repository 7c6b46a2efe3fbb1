"""Losses that make the next token of harmful answers uncertain: both are 0 at the uniform distribution."""

from __future__ import annotations

import math

from torch import Tensor

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import row_means


def towards_uniform(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """KL(uniform || p) of the tokens of harmful answers (ME, arXiv:2410.08109). Its gradient in the logits is bounded.

    Returns:
        Scalar in nats per token, at least 0: the mean over the tokens of each answer, then over answers.
    """
    log_p = inputs.logits.float().log_softmax(-1)  # (N, V)
    return row_means(-log_p.mean(-1) - math.log(log_p.shape[-1]), inputs.rows).mean()


def raise_entropy(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """KL(p || uniform) = log V - entropy(p) of the tokens of harmful answers (EMSO, arXiv:2408.04983).

    Returns:
        Scalar in nats per token, from 0 to log V.
    """
    log_p = inputs.logits.float().log_softmax(-1)  # (N, V)
    return row_means(math.log(log_p.shape[-1]) + (log_p.exp() * log_p).sum(-1), inputs.rows).mean()
