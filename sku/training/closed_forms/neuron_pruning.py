"""Selective pruning (arXiv:2403.01267): remove the neurons that harmful answers use most relative to normal ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sku.models.batching import EncodedPair
from sku.models.mlp_layers import mlp_layers
from sku.training.closed_forms.inputs import ClosedFormInputs, layer_inputs

_SMALLEST_USE = 1e-6


def prune_neurons(inputs: ClosedFormInputs) -> dict[str, Tensor]:
    """In every MLP, remove what `rank` neurons write: dW = -W_down at their columns, and 0 elsewhere."""
    mlps = mlp_layers(inputs.model.network)
    harmful = _mean_use(inputs, inputs.harmful)
    normal = _mean_use(inputs, inputs.normal)
    changes = {}
    for mlp, of_harmful, of_normal in zip(mlps, harmful, normal, strict=True):
        pruned = select_neurons(of_harmful, of_normal, inputs.config.rank)
        weight = mlp.down.layer.weight.detach().float()
        changes[mlp.down.name] = torch.zeros_like(weight)
        changes[mlp.down.name][:, pruned] = -weight[:, pruned]
    return changes


def select_neurons(harmful: Tensor, normal: Tensor, count: int) -> Tensor:
    """The neurons with the largest use in harmful answers relative to normal ones (section 3 of the paper, `abs`).

    Args:
        harmful: `[neurons]`, the mean absolute activation in harmful answers.
        normal: the same for normal answers.
        count: how many are wanted; at most all.

    Returns:
        Indices, the largest ratio first.
    """
    ratio = harmful / (normal + _SMALLEST_USE * normal.mean())
    return ratio.topk(min(count, len(ratio))).indices


def _mean_use(inputs: ClosedFormInputs, rows: Sequence[EncodedPair]) -> list[Tensor]:
    """The mean absolute activation of every neuron over all answer tokens, `[neurons]` for each MLP."""
    layers = [mlp.down.layer for mlp in mlp_layers(inputs.model.network)]
    totals = [torch.zeros(layer.in_features, device=inputs.model.device) for layer in layers]
    tokens = 0
    for _, activations in layer_inputs(inputs, rows, layers):
        tokens += len(activations[0])
        for total, of_layer in zip(totals, activations, strict=True):
            total += of_layer.abs().sum(0)
    return [total / tokens for total in totals]
