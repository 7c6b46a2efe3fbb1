"""The mean negative log-likelihood of each sequence, which every likelihood term uses."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def sequence_nll(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """The mean negative log-likelihood over the scored tokens of each sequence. Long and short answers count the same.

    Args:
        logits: `[N, V]`, one entry per scored token.
        targets: `[N]`, the scored tokens.
        rows: `[N]`, the sequence of each token. The numbers have no gaps, but need not start at 0.

    Returns:
        `[R]`, in nats per token, in the order of the sequence numbers.

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
