"""Rows of coefficients times the gates of their adapters, for generation and likelihood alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sku.models.batching import EncodedPair

if TYPE_CHECKING:
    from sku.models.variant_model import VariantModel

MAX_KEPT_VALUES = 20_000
"""Values of gates that are kept; beyond that the cache begins anew."""


def gated_rows(
    model: VariantModel, rows: Sequence[EncodedPair], coefficients: Sequence[Mapping[str, float]]
) -> Sequence[Mapping[str, float]]:
    """`gated_coefficients` for pairs: the gate reads the prompt of each pair."""
    return gated_coefficients(model, [row.ids[: row.prompt_tokens] for row in rows], coefficients)


def gated_coefficients(
    model: VariantModel, prompts: Sequence[Sequence[int]], coefficients: Sequence[Mapping[str, float]]
) -> Sequence[Mapping[str, float]]:
    """The coefficients with which each row runs: those of gated adapters times how far their gate is open.

    A gate reads each prompt once, alone, so that its value does not depend on the other rows of a batch.

    Args:
        model: holds the adapters and their gates.
        prompts: B prompts as tokens.
        coefficients: B rows of coefficients.
    """
    if not any(name in model.gates for row in coefficients for name in row):
        return coefficients
    return [
        {name: number * _open(model, name, tuple(prompt)) if number else number for name, number in row.items()}
        for prompt, row in zip(prompts, coefficients, strict=True)
    ]


def gate_opening(model: VariantModel, prompt: Sequence[int], coefficients: Mapping[str, float]) -> float | None:
    """How far the gates of a variant are open for a prompt, from 0 to 1: the widest of several; None without a gate."""
    found = [
        _open(model, name, tuple(prompt)) for name, number in coefficients.items() if number and name in model.gates
    ]
    return max(found, default=None)


def _open(model: VariantModel, name: str, prompt: tuple[int, ...]) -> float:
    """How far the gate of an adapter is open for a prompt; 1 for an adapter without a gate."""
    gate = model.gates.get(name)
    if gate is None:
        return 1.0
    if (name, prompt) not in model.gate_values:
        if len(model.gate_values) >= MAX_KEPT_VALUES:
            model.gate_values.clear()
        model.gate_values[name, prompt] = gate.value(prompt_state(model, prompt, gate.block))
    return model.gate_values[name, prompt]


@torch.no_grad()
def prompt_state(model: VariantModel, prompt: Sequence[int], block: int) -> Tensor:
    """The base's hidden state at the last token of a prompt after `block` decoder blocks, `[H]` in fp32."""
    ids = torch.tensor([list(prompt)], device=model.device)
    with model.rows([{}]) as network:
        out = network.base_model(input_ids=ids, use_cache=False, output_hidden_states=True)
    state: Tensor = out.hidden_states[block][0, -1].float()
    return state
