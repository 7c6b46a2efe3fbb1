"""The linear layers of every MLP, found by structure: gate, up and down in Llama and its kin, fc1 and fc2 in OPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from sku.models.decoder_blocks import decoder_blocks


@dataclass(frozen=True)
class NamedLinear:
    """A linear layer and its name in the network."""

    name: str
    layer: nn.Linear


@dataclass(frozen=True)
class MlpLayers:
    """The layers of one MLP that methods without training steps change."""

    gate: NamedLinear | None
    """The layer whose output opens and closes the neurons; None if the MLP has none, as in OPT."""
    down: NamedLinear
    """The last layer. Its inputs are the activations of the neurons, and its columns are what they write."""


def mlp_layers(network: Any) -> list[MlpLayers]:
    """The MLP of every block, in order. The network must have no adapter.

    Of all linear layers of a block, the last layer of the MLP has the most inputs. A gate has `gate` in its name and
    one output for each of these inputs.

    Raises:
        ValueError: if a block has no linear layer.
    """
    names = {module: name for name, module in network.named_modules()}
    found = []
    for block in decoder_blocks(network):
        linears = [NamedLinear(names[m], m) for m in block.modules() if isinstance(m, nn.Linear)]
        if not linears:
            raise ValueError(f"{type(block).__name__} has no linear layer, so its MLP cannot be changed")
        down = max(linears, key=lambda linear: linear.layer.in_features)
        gates = [linear for linear in linears if "gate" in linear.name.rpartition(".")[2]]
        fitting = [gate for gate in gates if gate.layer.out_features == down.layer.in_features]
        found.append(MlpLayers(fitting[0] if fitting else None, down))
    return found
