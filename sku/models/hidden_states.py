"""Hidden states of given answers; what is the same before them is read once: the chat template's beginning for all
prompts, a prompt for all answers to it under the same coefficients.

Of two answers to a prompt, or the eleven of a sweep, half of all tokens are those of the prompt. Knows no head.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from sku.models.batching import EncodedPair, collate, left_pad, token_positions
from sku.models.variant_model import VariantModel

CoefficientKey = tuple[tuple[str, float], ...]
"""Coefficients that are not 0, hashable; none of them is the base."""


_TOGETHER = 12
"""Answers that a processor reads at once."""
_WORTH = 8
"""Tokens that all prompts begin with; fewer are read with each."""


def nonzero_coefficients(coefficients: Mapping[str, float]) -> CoefficientKey:
    """The same for rows that are the same model."""
    return tuple(sorted((name, value) for name, value in coefficients.items() if value))


@torch.no_grad()
def answer_hidden_states(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> list[Tensor]:
    """Last hidden states of each row: of its last prompt token, then of each of its N answer tokens.

    Args:
        model: the base and its adapters.
        rows: B encoded pairs.
        coefficients: B rows of coefficients.

    Returns:
        B tensors `[1 + N, H]`.
    """
    asked = [(row.ids[: row.prompt_tokens], nonzero_coefficients(c)) for row, c in zip(rows, coefficients, strict=True)]
    prompts = {key: place for place, key in enumerate(dict.fromkeys(asked))}
    if len(prompts) == len(rows):
        return _whole(model, rows, coefficients)
    last, mask, cache = _read_prompts(model, list(prompts))
    found: dict[int, Tensor] = {}
    for group in _alike(rows, model):
        picked = torch.tensor([prompts[asked[i]] for i in group], device=model.device)
        answers = collate([EncodedPair(rows[i].answer, 0) for i in group]).to(model.device)
        seen = torch.cat([mask[picked], answers.attention_mask], dim=1)
        hidden = _forward(model, [coefficients[i] for i in group], answers.input_ids, seen, _taken(cache, picked))
        for i, before, mine in zip(group, last[picked], hidden, strict=True):
            found[i] = torch.cat([before[None], mine[: len(rows[i].answer)]])
    return [found[i] for i in range(len(rows))]


def _read_prompts(
    model: VariantModel, prompts: Sequence[tuple[tuple[int, ...], CoefficientKey]]
) -> tuple[Tensor, Tensor, DynamicCache]:
    """P prompts under their coefficients: last hidden state of each `[P, H]`, mask `[P, T]`, cache of P rows."""
    cache = DynamicCache(config=model.network.config)
    begin = _beginning([prompt for prompt, _ in prompts])
    before = torch.ones(len(prompts), len(begin), dtype=torch.long, device=model.device)
    if begin:
        variants = {signed: place for place, signed in enumerate(dict.fromkeys(signed for _, signed in prompts))}
        ids = torch.tensor([begin] * len(variants), device=model.device)
        _forward(model, [dict(signed) for signed in variants], ids, before[: len(variants)], cache)
        cache.batch_select_indices(torch.tensor([variants[signed] for _, signed in prompts], device=model.device))
    ids, mask = left_pad([prompt[len(begin) :] for prompt, _ in prompts], model.device)
    mask = torch.cat([before, mask], dim=1)
    last = _forward(model, [dict(signed) for _, signed in prompts], ids, mask, cache)[:, -1]
    return last, mask, cache


def _beginning(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all of them begin with, if that is worth a forward of its own; at least one token of each is left."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    shared = next((i for i in range(most) if first[i] != last[i]), most)
    return first[:shared] if shared >= _WORTH and len(prompts) > 1 else ()


def _alike(rows: Sequence[EncodedPair], model: VariantModel) -> list[list[int]]:
    """Places of answers that are read together: on a processor few of like length, where padding costs as text does."""
    size = _TOGETHER if model.device.type == "cpu" else len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].answer))
    return [order[i : i + size] for i in range(0, len(order), size)]


def _taken(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """A cache that goes on from those rows of `cache`, which stays as it is."""
    taken = copy.copy(cache)
    taken.layers = [copy.copy(layer) for layer in cache.layers]
    taken.batch_select_indices(rows)
    return taken


def _whole(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> list[Tensor]:
    """Prompts and answers in one forward: no prompt comes twice."""
    batch = collate(rows).to(model.device)
    return keep_answer_tokens(rows, _forward(model, coefficients, batch.input_ids, batch.attention_mask, None))


def keep_answer_tokens(rows: Sequence[EncodedPair], hidden: Tensor) -> list[Tensor]:
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
            position_ids=token_positions(mask, ids.shape[1]),
            cache=cache,
            use_cache=cache is not None,
        )
    hidden: Tensor = out.last_hidden_state
    return hidden
