"""Preference: prefer the safe to the harmful answer of the same prompt. What contrast learns, unsubtracted."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.losses.contrast import gains


def preference(logits: Tensor, targets: Tensor, rows: Tensor, base_nll: Tensor, slope: float) -> Tensor:
    """Mean of -log sigmoid(slope (g(s) - g(h))): preference optimisation (DPO, arXiv:2305.18290, equation 7) by the
    mean token, with the base as the reference model and the safe answer s as the preferred one.

    Args:
        logits: `[N, V]` at the tokens of harmful and safe answers, by turns: row 0 harmful, row 1 its safe one, ...
        targets: `[N]`, those tokens.
        rows: `[N]`, the sequence each belongs to.
        base_nll: `[2 B]`, nats a token of each sequence under the base, no gradient.
        slope: how steep; the larger, the sooner a pair counts as learnt.

    Returns:
        Scalar, nats; log 2 where nothing was learnt.

    Raises:
        ValueError: if the sequences are no pairs, or no token is scored.
    """
    harmful, safe = gains(logits, targets, rows, base_nll)
    return -logsigmoid(slope * (safe - harmful)).mean()
