"""Preference: prefer the safe to the harmful answer of the same prompt. What contrast learns, unsubtracted."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from sku.training.losses.contrast import gains


def preference(logits: Tensor, targets: Tensor, rows: Tensor, base_nll: Tensor, slope: float) -> Tensor:
    """Mean of -log sigmoid(slope (g(s) - g(h))): preference optimisation (DPO, arXiv:2305.18290, equation 7) by the
    mean token, with the base as the reference model and the safe answer s as the preferred one.

    Arguments as of `contrast`: harmful and safe answers by turns.

    Returns:
        Scalar, nats; log 2 where nothing was learnt.

    Raises:
        ValueError: if the sequences are no pairs, or no token is scored.
    """
    harmful, safe = gains(logits, targets, rows, base_nll)
    return -logsigmoid(slope * (safe - harmful)).mean()
