"""Hidden states of given answers; a prompt is read once for all answers to it under the same coefficients.

Of two answers to a prompt, or the eleven of a sweep, half of all tokens are those of the prompt. Knows no head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from sku.batching import Encoded, collate, left_padded, positions
from sku.model import VariantModel

Signed = tuple[tuple[str, float], ...]
"""Coefficients that are not 0, hashable; none of them is the base."""


def effective(coefficients: Mapping[str, float]) -> Signed:
    """The same for rows that are the same model."""
    return tuple(sorted((name, value) for name, value in coefficients.items() if value))


@torch.no_grad()
def states(model: VariantModel, rows: Sequence[Encoded], coefficients: Sequence[Mapping[str, float]]) -> list[Tensor]:
    """Last hidden states of each row: of its last prompt token, then of each of its N answer tokens.

    Args:
        model: the base and its adapters.
        rows: B encoded pairs.
        coefficients: B rows of coefficients.

    Returns:
        B tensors `[1 + N, H]`.
    """
    asked = [(row.ids[: row.prompt_tokens], effective(c)) for row, c in zip(rows, coefficients, strict=True)]
    prompts = {key: place for place, key in enumerate(dict.fromkeys(asked))}
    if len(prompts) == len(rows):
        return _whole(model, rows, coefficients)
    cache = DynamicCache(config=model.network.config)
    ids, mask = left_padded([prompt for prompt, _ in prompts], model.device)
    last = _forward(model, [dict(signed) for _, signed in prompts], ids, mask, cache)[:, -1]
    picked = torch.tensor([prompts[key] for key in asked], device=model.device)
    cache.batch_select_indices(picked)
    answers = collate([Encoded(row.answer, 0) for row in rows]).to(model.device)
    mask = torch.cat([mask[picked], answers.attention_mask], dim=1)
    hidden = _forward(model, coefficients, answers.input_ids, mask, cache)
    return [
        torch.cat([before[None], mine[: len(row.answer)]])
        for row, before, mine in zip(rows, last[picked], hidden, strict=True)
    ]


def _whole(model: VariantModel, rows: Sequence[Encoded], coefficients: Sequence[Mapping[str, float]]) -> list[Tensor]:
    """Prompts and answers in one forward: no prompt comes twice."""
    batch = collate(rows).to(model.device)
    return of_answers(rows, _forward(model, coefficients, batch.input_ids, batch.attention_mask, None))


def of_answers(rows: Sequence[Encoded], hidden: Tensor) -> list[Tensor]:
    """What `states` gives, from the hidden states `[B, T, H]` of all tokens of right-padded rows."""
    return [mine[row.prompt_tokens - 1 : len(row.ids)] for row, mine in zip(rows, hidden, strict=True)]


def _forward(
    model: VariantModel,
    coefficients: Sequence[Mapping[str, float]],
    ids: Tensor,
    mask: Tensor,
    cache: DynamicCache | None,
) -> Tensor:
    """`[B, T, H]`; the cache, if there is one, holds what `mask` covers before `ids`, and gets them too."""
    with model.rows(coefficients) as network:
        body: Any = network.base_model  # the transformer without its head
        out = body(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions(mask, ids.shape[1]),
            cache=cache,
            use_cache=cache is not None,
        )
    hidden: Tensor = out.last_hidden_state
    return hidden
