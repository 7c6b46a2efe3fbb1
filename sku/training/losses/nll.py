"""Likelihood of given answers: raised to learn them, lowered to forget them."""

from __future__ import annotations

from torch import Tensor

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import sequence_nll


def descend(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Minimising this makes the answers likelier: nats per token, mean of each answer, then over answers.

    Which answers these are is for the term to say (`core/methods.py`): the harmful ones (guided distortion), harmful
    ones of other prompts (random disassociation), normal ones to harmful prompts (mismatch), or good ones.
    """
    return sequence_nll(inputs.logits, inputs.targets, inputs.rows).mean()


def ascend(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Minimising this makes the answers less likely (LLMU, arXiv:2310.10683). It has no lower bound.

    Returns:
        Scalar, minus nats per token; this function owns its minus sign.
    """
    return -descend(inputs, config)
