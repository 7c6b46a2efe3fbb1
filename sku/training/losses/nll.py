"""Losses on the likelihood of given answers. They raise it to learn an answer, or lower it to forget one."""

from __future__ import annotations

from torch import Tensor

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import sequence_nll


def descend(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean negative log-likelihood: minimising it makes the answers likelier.

    The term decides which answers these are (`core/terms.py`): harmful ones (guided distortion), harmful answers of
    other prompts (random disassociation), normal answers to harmful prompts (mismatch), or good ones.

    Returns:
        Scalar in nats per token: the mean over the tokens of each answer, then over answers.
    """
    return sequence_nll(inputs.logits, inputs.targets, inputs.rows).mean()


def ascend(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Minimising this makes the answers less likely (LLMU, arXiv:2310.10683). It has no lower bound.

    Returns:
        Scalar: minus the value of `descend`. No other function applies this minus sign.
    """
    return -descend(inputs, config)
