"""Losses that prefer one answer to another answer to the same prompt, by how much each gained over the base."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.core.config import TrainConfig
from sku.training.losses.gain import gain
from sku.training.losses.inputs import TermInputs


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


def gains(inputs: TermInputs) -> tuple[Tensor, Tensor]:
    """The gains of the harmful and of the safe answers over the base, in nats per token: `[B]` and `[B]`.

    Raises:
        ValueError: if the number of rows is odd.
    """
    gained = gain(inputs)  # (2 B,)
    if len(gained) % 2:
        raise ValueError(f"{len(gained)} answers are not pairs; give a harmful and a safe answer for every prompt")
    return gained[0::2], gained[1::2]
