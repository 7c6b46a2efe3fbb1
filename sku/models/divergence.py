"""KL divergence of a model's next-token distribution from the base's. Pure functions of logits; knows no text."""

from __future__ import annotations

from torch import Tensor


def kl_from_base(logits: Tensor, base_logits: Tensor) -> Tensor:
    """KL(base || model) of every scored token.

    Args:
        logits: `[N, V]` of the model.
        base_logits: `[N, V]` of the base, no gradient.

    Returns:
        `[N]` nats, at least 0 up to rounding.

    Raises:
        ValueError: if N is 0.
    """
    if not len(logits):
        raise ValueError("no token is scored; KL from base needs at least one answer token")
    log_p = base_logits.float().log_softmax(-1)  # bf16 loses the tail the KL lives in
    log_q = logits.float().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)
