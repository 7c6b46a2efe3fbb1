"""Mean negative log-likelihood of each sequence: the quantity behind every likelihood term."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def sequence_nll(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """Mean over the scored tokens of each sequence, so that long answers count no more than short ones.

    Args:
        logits: `[N, V]`, one line a scored token.
        targets: `[N]`, the token that stands there.
        rows: `[N]`, the sequence each token belongs to, numbered without gaps from its lowest.

    Returns:
        `[R]` nats per token, in order of `rows`.

    Raises:
        ValueError: if nothing is scored.
    """
    if not len(targets):
        raise ValueError("no token is scored; every sequence needs an answer")
    nll = cross_entropy(logits.float(), targets, reduction="none")  # (N,); bf16 would lose the tail
    index = rows - rows.min()
    count = int(index.max()) + 1
    total = nll.new_zeros(count).index_add(0, index, nll)
    tokens = nll.new_zeros(count).index_add(0, index, nll.new_ones(len(nll)))
    return total / tokens
