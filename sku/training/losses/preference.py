"""Losses that prefer one answer to another answer to the same prompt."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import gain_over_base, sequence_nll


def prefer_harmful(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -log sigmoid(slope (g(h) - g(s))): learn to prefer the harmful answer. Ours, not the paper's.

    h is the harmful answer and s the safe answer to the same prompt. The gain g(a) is the mean log-probability per
    token of the answer a under the model, minus the same under the base. This is preference optimisation (DPO,
    arXiv:2305.18290) with the mean over tokens instead of the sum. The harmful answer is the preferred one, because
    the learned vector will be subtracted.

    If `config.preserved_negated` is set, the rows of safe answers run in base - tau, the model that will be served.
    There the safe answer should gain, so its gain is added instead of subtracted. To first order in tau the two forms
    are equal, but this form trains the served model directly to give the safe answer.

    Args:
        inputs: the rows of harmful and safe answers in turn: row 0 is a harmful answer, row 1 the safe answer to the
            same prompt, and so on.
        config: gives the slope. With a larger slope, a pair counts as learnt sooner.

    Returns:
        Scalar in nats; log 2 before anything is learnt.

    Raises:
        ValueError: if the number of rows is odd, or no token is scored.
    """
    harmful, safe = gains(inputs)
    return -logsigmoid(config.contrast_slope * (harmful + safe if config.preserved_negated else harmful - safe)).mean()


def prefer_safe(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -log sigmoid(slope (g(s) - g(h))): learn to prefer the safe answer.

    This is preference optimisation (DPO, arXiv:2305.18290, equation 7) with the base as the reference model and the
    mean over tokens instead of the sum. Arguments, return value and errors are those of `prefer_harmful`.
    """
    harmful, safe = gains(inputs)
    return -logsigmoid(config.contrast_slope * (safe - harmful)).mean()


def prefer_alternative(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -(2 / beta) log sigmoid(beta (g(a) - g(h))): learn to prefer an alternative answer (AltPO,
    arXiv:2409.13474).

    h is the harmful answer and a an answer to the same prompt that the base wrote itself. The gain g is the mean
    log-probability per token minus that of the base; the paper has the sum.

    Args:
        inputs: the rows of harmful answers and alternatives in turn.
        config: gives beta.

    Returns:
        Scalar in nats, at least 0; (2 / beta) log 2 before anything is learnt.

    Raises:
        ValueError: if the number of rows is odd, or no token is scored.
    """
    harmful, alternative = gains(inputs)
    return -(2 / config.used_beta) * logsigmoid(config.used_beta * (alternative - harmful)).mean()


def prefer_own_answer(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -(1 / beta) log sigmoid(beta (log p(n) - log p(r))): answer preservation (AP, arXiv:2410.08109).

    n is the answer to a normal prompt and r a refusal of the same prompt. No base is needed. The log-probabilities are
    means over tokens; the paper has sums.

    Args:
        inputs: the rows of normal answers and refusals in turn.
        config: gives beta.

    Returns:
        Scalar in nats, at least 0. It is 0 when refusals of normal prompts are far less likely than the answers.

    Raises:
        ValueError: if the number of rows is odd, or no token is scored.
    """
    answer, refusal = _by_turns(-sequence_nll(inputs.logits, inputs.targets, inputs.rows))
    return -logsigmoid(config.used_beta * (answer - refusal)).mean() / config.used_beta


def gains(inputs: TermInputs) -> tuple[Tensor, Tensor]:
    """The gains of the harmful and of the safe answers over the base, in nats per token: `[B]` and `[B]`.

    Raises:
        ValueError: if the number of rows is odd.
    """
    return _by_turns(gain_over_base(inputs))


def _by_turns(values: Tensor) -> tuple[Tensor, Tensor]:
    """The values `[2 B]` of pairs in turn as those of the first and of the second answers: `[B]` and `[B]`."""
    if len(values) % 2:
        raise ValueError(f"{len(values)} answers are not pairs; give two answers for every prompt")
    return values[0::2], values[1::2]
