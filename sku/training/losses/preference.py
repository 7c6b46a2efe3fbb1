"""Preference of one answer over another to the same prompt, by what each gained over the base."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import sequence_nll


def prefer_harmful(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -log sigmoid(slope (g(h) - g(s))): learn to prefer the harmful answer. Ours, not the paper's.

    h is the harmful answer, s the safe answer to the same prompt, and g(a) the mean log-probability a token of a under
    the model minus that under the base. This is preference optimisation (DPO, arXiv:2305.18290) by the mean token, with
    the harmful answer as the preferred one: what is learned is to be subtracted.

    Where `config.preserved_negated`, the rows of safe answers ran as base - tau, which is what is served. There the
    safe answer is to gain, so its gain is added. To first order in tau the two forms are the same, but this one teaches
    the served model to say the safe answer; the other only trusts that it will.

    Args:
        inputs: rows are harmful and safe answers by turns: row 0 harmful, row 1 the safe one of its prompt, ...
        config: gives the slope; the larger it is, the sooner a pair counts as learnt.

    Returns:
        Scalar, nats; log 2 where nothing was learnt.

    Raises:
        ValueError: if the rows are no pairs, or no token is scored.
    """
    harmful, safe = gains(inputs)
    return -logsigmoid(config.contrast_slope * (harmful + safe if config.preserved_negated else harmful - safe)).mean()


def prefer_safe(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """Mean of -log sigmoid(slope (g(s) - g(h))): preference optimisation (DPO, arXiv:2305.18290, equation 7) by the
    mean token, with the base as the reference model and the safe answer as the preferred one.

    Arguments, return value and errors are those of `prefer_harmful`.
    """
    harmful, safe = gains(inputs)
    return -logsigmoid(config.contrast_slope * (safe - harmful)).mean()


def gains(inputs: TermInputs) -> tuple[Tensor, Tensor]:
    """What harmful and safe answers gained over the base, nats per token: `[B]` and `[B]`.

    Raises:
        ValueError: if the rows are no pairs.
    """
    base_nll = sequence_nll(inputs.require_base_logits(), inputs.targets, inputs.rows)
    gain = base_nll - sequence_nll(inputs.logits, inputs.targets, inputs.rows)  # (2 B,)
    if len(gain) % 2:
        raise ValueError(f"{len(gain)} answers are no pairs; give a harmful and a safe answer by turns")
    return gain[0::2], gain[1::2]
