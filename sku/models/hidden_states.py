"""Hidden states of given answers, with each prompt read once for all its answers under the same coefficients, and the
beginning of the chat template not at all if it was read before.

With two answers to a prompt, or the eleven variants of a sweep, half of all tokens are prompt tokens. Knows no output
head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sku.models.batching import EncodedPair, collate
from sku.models.coefficients import CoefficientKey, nonzero_coefficients
from sku.models.gating import gated_rows
from sku.models.prefix_cache import copy_cache_rows, keeps_template_prefix
from sku.models.variant_model import VariantModel

MAX_ROWS_PER_CPU_FORWARD = 12
"""Answers that one forward on a CPU reads."""


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
    coefficients = gated_rows(model, rows, coefficients)
    asked = [(row.ids[: row.prompt_tokens], nonzero_coefficients(c)) for row, c in zip(rows, coefficients, strict=True)]
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(asked))}
    if len(prompts) == len(rows) and not keeps_template_prefix(model, [prompt for prompt, _ in prompts]):
        return _read_pairs(model, rows, coefficients)
    last, mask, cache = _read_prompts(model, list(prompts))
    states: dict[int, Tensor] = {}
    for group in _group_by_answer_length(rows, model.device):
        chosen = torch.tensor([prompts[asked[i]] for i in group], device=model.device)
        answers = collate([EncodedPair(rows[i].answer, 0) for i in group]).to(model.device)
        hidden = model.last_hidden_states(
            [coefficients[i] for i in group],
            answers.input_ids,
            torch.cat([mask[chosen], answers.attention_mask], dim=1),
            copy_cache_rows(cache, chosen),
        )
        for i, of_prompt, of_answer in zip(group, last[chosen], hidden, strict=True):
            states[i] = torch.cat([of_prompt[None], of_answer[: len(rows[i].answer)]])
    return [states[i] for i in range(len(rows))]


def keep_answer_tokens(rows: Sequence[EncodedPair], hidden: Tensor) -> list[Tensor]:
    """What `answer_hidden_states` returns, cut from hidden states `[B, T, H]` of right-padded rows."""
    return [states[row.prompt_tokens - 1 : len(row.ids)] for row, states in zip(rows, hidden, strict=True)]


def _read_pairs(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> list[Tensor]:
    """Prompts and answers in one forward, where every prompt occurs once."""
    batch = collate(rows).to(model.device)
    hidden = model.last_hidden_states(coefficients, batch.input_ids, batch.attention_mask, None)
    return keep_answer_tokens(rows, hidden)


def _read_prompts(
    model: VariantModel, prompts: Sequence[tuple[tuple[int, ...], CoefficientKey]]
) -> tuple[Tensor, Tensor, DynamicCache]:
    """Read P prompts: the last hidden state of each `[P, H]`, their mask `[P, T]`, and a cache of P rows."""
    coefficients = [dict(key) for _, key in prompts]
    cache, ids, mask = model.prefix_cache.prefill(model, [prompt for prompt, _ in prompts], coefficients)
    return model.last_hidden_states(coefficients, ids, mask, cache)[:, -1], mask, cache


def _group_by_answer_length(rows: Sequence[EncodedPair], device: torch.device) -> list[list[int]]:
    """Row indices of each forward: on a CPU, where padding costs as text does, small groups of similar length."""
    size = MAX_ROWS_PER_CPU_FORWARD if device.type == "cpu" else len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].answer))
    return [order[i : i + size] for i in range(0, len(order), size)]
