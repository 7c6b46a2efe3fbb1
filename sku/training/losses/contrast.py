"""Contrast: prefer the harmful to the safe answer of the same prompt. Ours, not the paper's."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.training.losses.sequence import sequence_nll


def contrast(
    logits: Tensor, targets: Tensor, rows: Tensor, base_nll: Tensor, slope: float, safe_negated: bool = False
) -> Tensor:
    """Mean of -log sigmoid(slope (g(h) - g(s))), where g(a) is what an answer gained over the base.

    h is the harmful answer, s the safe answer of the same prompt, and g(a) the mean log-probability a token of a under
    the model minus that under the base. This is preference optimisation (DPO, arXiv:2305.18290) by the mean token, with
    the harmful answer as the preferred one: what is learned is to be subtracted.

    Args:
        logits: `[N, V]` at the tokens of harmful and safe answers, by turns: row 0 harmful, row 1 its safe one, ...
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.
        base_nll: `[2 B]`, nats a token of each sequence under the base, no gradient.
        slope: how steep; the larger, the sooner a pair counts as learnt.
        safe_negated: whether the rows of safe answers ran as base - tau, which is served, and not as base + tau. There
            the safe answer is to gain, so its gain is added: to first order in tau the two forms are the same, but this
            one teaches the served model to say it, where the other only trusts that it will.

    Returns:
        Scalar, nats; log 2 where nothing was learnt.

    Raises:
        ValueError: if the sequences are no pairs, or no token is scored.
    """
    harmful, safe = gains(logits, targets, rows, base_nll)
    return -logsigmoid(slope * (harmful + safe if safe_negated else harmful - safe)).mean()


def gains(logits: Tensor, targets: Tensor, rows: Tensor, base_nll: Tensor) -> tuple[Tensor, Tensor]:
    """What harmful and safe answers gained over the base, nats a token: `[B]` and `[B]`; arguments as of `contrast`.

    Raises:
        ValueError: if the sequences are no pairs.
    """
    gain = base_nll - sequence_nll(logits, targets, rows)  # (2 B,)
    if len(gain) % 2:
        raise ValueError(f"{len(gain)} answers are no pairs; give a harmful and a safe answer by turns")
    return gain[0::2], gain[1::2]
