"""Large Scale Knowledge Washing (LaW, arXiv:2405.16720): rewrite MLPs so that harmful answers lead to "end of text".

MEMIT's normal equations with one target for all keys. The keys k are the activations that predict the tokens of harmful
answers. The target m of an MLP is the mean of what it puts out where an answer ends, so it needs no optimisation:

    dW = (m E[k]ᵀ - W E[k kᵀ]) (E[k kᵀ] + w E_normal[k kᵀ] + c I)^-1,

which minimises E|(W + dW) k - m|² + w E_normal|dW k|² + c |dW|². The target leaves out a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sku.models.batching import EncodedPair
from sku.models.mlp_layers import MlpLayers, mlp_layers
from sku.training.closed_forms.inputs import ClosedFormInputs, layer_inputs

FIRST_LAYER, LAST_LAYER = 0.25, 0.5
"""The MLPs between these shares of the depth are rewritten: early and middle ones, as in MEMIT and LaW."""
NORMAL_WEIGHT = 10.0
"""How much more a change at normal answers costs than a miss of the target at harmful ones."""
_RIDGE = 1e-3
"""Of the mean squared activation."""


@dataclass
class Moments:
    """Sums over tokens of what one layer reads."""

    first: Tensor
    """`[neurons]`, the sum of the keys."""
    second: Tensor
    """`[neurons, neurons]`, the sum of their outer products."""
    tokens: int = 0

    @classmethod
    def empty(cls, neurons: int, device: torch.device) -> Moments:
        """No token yet."""
        first = torch.zeros(neurons, dtype=torch.float64, device=device)
        return cls(first, torch.zeros(neurons, neurons, dtype=torch.float64, device=device))

    def add(self, keys: Tensor) -> None:
        """Count keys `[tokens, neurons]`."""
        self.first += keys.double().sum(0)
        self.second += (keys.T @ keys).double()
        self.tokens += len(keys)


def wash_knowledge(inputs: ClosedFormInputs) -> dict[str, Tensor]:
    """Rewrite the last layers of the chosen MLPs.

    Raises:
        ValueError: if no answer ends within `max_tokens`, so that the target is unknown.
    """
    washed = _middle(mlp_layers(inputs.model.network))
    layers: list[nn.Module] = [mlp.down.layer for mlp in washed]
    harmful, ends_of_harmful = _moments(inputs, inputs.harmful, layers)
    normal, ends_of_normal = _moments(inputs, inputs.normal, layers)
    if not ends_of_harmful[0].tokens + ends_of_normal[0].tokens:
        raise ValueError(
            f"no answer ends within {inputs.config.max_tokens} tokens, so there is no end of text to lead to; raise "
            "--max-tokens"
        )
    changes = {}
    for i, mlp in enumerate(washed):
        ends = ends_of_harmful[i].first + ends_of_normal[i].first
        end = ends / (ends_of_harmful[i].tokens + ends_of_normal[i].tokens)
        weight = mlp.down.layer.weight.detach().double()
        changes[mlp.down.name] = wash(weight, harmful[i], normal[i], weight @ end).float()
    return changes


def wash(
    weight: Tensor, harmful: Moments, normal: Moments, target: Tensor, normal_weight: float = NORMAL_WEIGHT
) -> Tensor:
    """The change dW of the module's docstring, `[outputs, neurons]`.

    Args:
        weight: `[outputs, neurons]` in double precision.
        harmful: moments of the keys that should lead to the target.
        normal: moments of the keys that should lead where they did.
        target: `[outputs]`.
        normal_weight: the weight w.
    """
    second = harmful.second / harmful.tokens
    kept = normal.second / normal.tokens
    wanted = torch.outer(target, harmful.first / harmful.tokens) - weight @ second
    regular = second + normal_weight * kept
    ridge = _RIDGE * second.diagonal().mean()
    regular = regular + ridge * torch.eye(len(regular), dtype=regular.dtype, device=regular.device)
    change: Tensor = torch.linalg.solve(regular, wanted.T).T
    return change


def _middle(mlps: Sequence[MlpLayers]) -> list[MlpLayers]:
    first = int(FIRST_LAYER * len(mlps))
    return list(mlps[first : max(first + 1, int(LAST_LAYER * len(mlps)))])


def _moments(
    inputs: ClosedFormInputs, rows: Sequence[EncodedPair], layers: Sequence[nn.Module]
) -> tuple[list[Moments], list[Moments]]:
    """For each layer, the moments of all keys, and those of the keys that predict the end of an answer."""
    device = inputs.model.device
    sizes = [layer.in_features for layer in layers if isinstance(layer, nn.Linear)]
    every = [Moments.empty(size, device) for size in sizes]
    ends = [Moments.empty(size, device) for size in sizes]
    end_ids = tuple(inputs.model.template.end_ids)
    for row, keys in layer_inputs(inputs, rows, layers):
        for i, of_layer in enumerate(keys):
            every[i].add(of_layer)
            if row.answer[-len(end_ids) :] == end_ids:  # a long answer is cut and has no end
                ends[i].add(of_layer[-len(end_ids)][None])
    return every, ends
