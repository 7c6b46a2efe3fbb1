"""Losses on the likelihood of given answers. They raise it to learn an answer, or lower it to forget one."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

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


def ascend_slowly(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Minus the logarithm of `descend` (RepNoise, arXiv:2405.14577): ascent that slows down as the loss grows.

    Returns:
        Scalar. It has no lower bound.
    """
    return -descend(inputs, config).log()


def ascend_on_sensitive_tokens(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Ascent with a weight per token (FPGA, EMNLP 2024, paper 566). It has no lower bound.

    The weight of a token is max(0, log p0(h_t | prompt) - log p0(h_t | another prompt)), under the base p0: what the
    prompt makes likelier is what the answer says, and the rest is ordinary language.

    Args:
        inputs: the tokens of harmful answers, with the base's logits for them after their own and another prompt.

    Returns:
        Scalar: the weighted mean log-probability over the tokens of each answer, then the mean over answers.
    """
    own = _log_probs(inputs.require_base_logits(), inputs.targets)
    other = _log_probs(inputs.require_other_logits(), inputs.targets)
    return -sequence_nll(inputs.logits, inputs.targets, inputs.rows, (own - other).clamp_min(0)).mean()


def _log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """The log-probability of each target: `[N]` from `[N, V]`."""
    return -cross_entropy(logits.float(), targets, reduction="none")
