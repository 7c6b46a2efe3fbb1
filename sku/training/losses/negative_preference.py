"""Losses that treat a harmful answer as the rejected one of a preference pair without a preferred one."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import gain_over_base, sequence_nll


def npo(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -(2 / beta) log sigmoid(-beta g(h)): negative preference optimisation (NPO, arXiv:2404.05868).

    The gain g(h) is the mean log-probability per token of the harmful answer h minus that of the base; the paper has
    the sum. The gradient is that of ascent times 2 sigmoid(beta g(h)): it fades as the answer becomes less likely than
    under the base, and for beta near 0 it is that of ascent.

    Args:
        inputs: the tokens of harmful answers, with the base's logits.
        config: gives beta.

    Returns:
        Scalar in nats, at least 0; (2 / beta) log 2 at the base.
    """
    return -(2 / config.used_beta) * logsigmoid(-config.used_beta * gain_over_base(inputs)).mean()


def simnpo(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -(2 / beta) log sigmoid(beta l(h)): NPO without the base (SimNPO, arXiv:2410.07163).

    l(h) is the mean negative log-likelihood per token of the harmful answer h, as in the paper, whose margin gamma is
    0 here. Answers that are already unlikely have a small gradient.

    Args:
        inputs: the tokens of harmful answers.
        config: gives beta.

    Returns:
        Scalar in nats, at least 0.
    """
    nll = sequence_nll(inputs.logits, inputs.targets, inputs.rows)
    return -(2 / config.used_beta) * logsigmoid(config.used_beta * nll).mean()
