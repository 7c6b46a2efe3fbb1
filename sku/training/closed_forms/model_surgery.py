"""Model Surgery (arXiv:2407.08770): add a probe's direction to the gate rows that are most opposed to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sku.models.batching import EncodedPair
from sku.models.mlp_layers import NamedLinear, mlp_layers
from sku.training.closed_forms.inputs import ClosedFormInputs, layer_inputs

EDITED_SHARE = 16384 / (32 * 11008)
"""The share of all gate rows that is edited; the reference code edits 16384 rows of a 7B Llama."""
_SHRINKAGE = 0.1
"""Of the probe's covariance towards a multiple of the identity."""


def edit_gates(inputs: ClosedFormInputs) -> dict[str, Tensor]:
    """dW = a s vᵀ in every gate: v the probe's unit direction, s 1 at the edited rows, a the mean norm of a row.

    Raises:
        ValueError: if the MLPs have no gate.
    """
    gates = _gates(inputs)
    harmful, normal = (_mean_states(inputs, rows, gates) for rows in (inputs.harmful, inputs.normal))
    directions = [probe_direction(h, n) for h, n in zip(harmful, normal, strict=True)]
    weights = [gate.layer.weight.detach().float() for gate in gates]
    edited = opposed_rows(weights, directions, EDITED_SHARE)
    return {
        gate.name: torch.outer(rows.float(), weight.norm(dim=1).mean() * direction)
        for gate, weight, direction, rows in zip(gates, weights, directions, edited, strict=True)
    }


def _gates(inputs: ClosedFormInputs) -> list[NamedLinear]:
    gates = [mlp.gate for mlp in mlp_layers(inputs.model.network)]
    found = [gate for gate in gates if gate is not None]
    if len(found) < len(gates):
        raise ValueError(
            f"model_surgery edits the gates of MLPs, but those of {type(inputs.model.network).__name__} have no gate "
            "layer; use neuron_pruning or knowledge_washing"
        )
    return found


def _mean_states(inputs: ClosedFormInputs, rows: Sequence[EncodedPair], gates: Sequence[NamedLinear]) -> list[Tensor]:
    """The mean over each answer of what every gate reads, `[answers, hidden]` for each gate."""
    layers = [gate.layer for gate in gates]
    means = [[of_layer.mean(0) for of_layer in states] for _, states in layer_inputs(inputs, rows, layers)]
    return [torch.stack(of_layer) for of_layer in zip(*means, strict=True)]


def probe_direction(harmful: Tensor, normal: Tensor) -> Tensor:
    """The unit direction of a linear probe that tells harmful from normal answers; it points to the harmful ones.

    Args:
        harmful: `[answers, hidden]`, a mean state for each harmful answer.
        normal: the same for normal answers.

    Returns:
        `[hidden]`: (S + c I)^-1 (m_harmful - m_normal) with the pooled covariance S, scaled to length 1.
    """
    centred = torch.cat([harmful - harmful.mean(0), normal - normal.mean(0)]).double()
    covariance = centred.T @ centred / len(centred)
    ridge = _SHRINKAGE * covariance.diagonal().mean().clamp(min=1e-12)
    regular = covariance + ridge * torch.eye(len(covariance), dtype=torch.float64, device=covariance.device)
    direction = torch.linalg.solve(regular, (harmful.mean(0) - normal.mean(0)).double())
    return normalize(direction, dim=0).float()


def opposed_rows(weights: Sequence[Tensor], directions: Sequence[Tensor], share: float) -> list[Tensor]:
    """Which rows of all gates together have the lowest cosine with their gate's direction.

    Args:
        weights: `[rows, hidden]` for each gate.
        directions: `[hidden]` for each gate.
        share: of the rows of all gates; at least one row is chosen.

    Returns:
        `[rows]` for each gate, true at the chosen rows.
    """
    cosines = torch.cat([normalize(w, dim=1) @ v for w, v in zip(weights, directions, strict=True)])
    chosen = torch.zeros(len(cosines), dtype=torch.bool, device=cosines.device)
    chosen[(-cosines).topk(max(1, round(share * len(cosines)))).indices] = True
    return list(torch.split(chosen, [len(weight) for weight in weights]))
