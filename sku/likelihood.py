"""Log-probabilities of given answers under variants. Knows no judge and no data source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sku.batching import Batch, Encoded, collate
from sku.losses.sequence import sequence_nll
from sku.model import VariantModel


class Scored(NamedTuple):
    """The scored tokens of a batch, flat."""

    logits: Tensor
    """`[N, V]`"""
    targets: Tensor
    """`[N]`"""
    rows: Tensor
    """`[N]`, the row of the batch each token stands in."""


def answer_hidden(network: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Last hidden states just before each answer token: `[N, H]`, with targets `[N]` and rows `[N]`."""
    body = network.base_model  # the transformer without its head
    hidden = body(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).last_hidden_state
    rows, positions = batch.answer_mask[:, 1:].nonzero(as_tuple=True)  # position t predicts token t + 1
    return hidden[rows, positions], batch.input_ids[rows, positions + 1], rows


def head(network: Any, hidden: Tensor) -> Tensor:
    """Logits `[N, V]` of hidden states `[N, H]`, as the network's own forward makes them."""
    logits: Tensor = network.get_output_embeddings()(hidden)
    cap = getattr(network.config, "final_logit_softcapping", None)  # Gemma 2
    return torch.tanh(logits / cap) * cap if cap else logits


def answer_logits(network: Any, batch: Batch) -> Scored:
    """Logits only where labels are: the head runs on answer tokens alone, which saves most of its cost."""
    hidden, targets, rows = answer_hidden(network, batch)
    return Scored(head(network, hidden), targets, rows)


@torch.no_grad()
def answer_log_probs(
    model: VariantModel, rows: Sequence[Encoded], coefficients: Sequence[Mapping[str, float]]
) -> list[float]:
    """Mean log-probability a token of each answer under its own row of coefficients, one forward for all.

    Args:
        model: the base and its adapters.
        rows: B encoded pairs.
        coefficients: B rows of coefficients.

    Returns:
        B numbers, nats a token, end token included.
    """
    batch = collate(rows).to(model.device)
    with model.rows(coefficients) as network:
        scored = answer_logits(network, batch)
    return [-nll for nll in sequence_nll(*scored).tolist()]
