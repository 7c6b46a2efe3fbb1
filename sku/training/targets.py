"""Which linear layers a training adapts: the names in the settings, checked against the layers that the base has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from sku.core.config import TrainConfig
from sku.models.decoder_blocks import decoder_blocks

ALL = "all"
"""The target that means every linear layer between the embeddings and the output head."""
MLP = "mlp"
"""The target that means the linear layers outside attention, whatever the architecture calls them."""
_ATTENTION_INPUTS = (
    ("q_proj", "v_proj"),
    ("query_key_value",),
    ("qkv_proj",),
    ("c_attn",),
    ("Wqkv",),
    ("query", "value"),
    ("q_lin", "v_lin"),
)
"""The names of the query and value layers in various architectures. Some have one layer for query, key and value."""


def resolve_targets(network: Any, targets: Sequence[str]) -> tuple[str, ...]:
    """The names of the modules to adapt.

    Args:
        network: the base.
        targets: names as in `TrainConfig.targets`. `all` means every linear layer between the two ends, `mlp` those
            outside attention. The default names, which not every architecture has, stand for the query and value
            layers of the base.

    Raises:
        ValueError: if a name is no linear layer of this base, or is an embedding or the output head.
    """
    names = linear_names(network)
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    if tuple(targets) == (ALL,):
        return tuple(known)
    if MLP in targets:
        outside = [name.rpartition(".")[2] for name in names if "attn" not in name and "attention" not in name]
        targets = tuple(dict.fromkeys([*(target for target in targets if target != MLP), *outside]))
    if tuple(targets) == TrainConfig.targets and not set(targets) & set(known):
        targets = next((some for some in _ATTENTION_INPUTS if set(some) <= set(known)), targets)
    ends = [name for name, module in network.named_modules() if module in _ends(network)]
    refused = [target for target in targets if any(_matches(name, target) for name in ends)]
    if refused:
        raise ValueError(
            f"targets {refused} are embeddings or the output head; name layers between them, such as {known[0]}"
        )
    for target in targets:
        if not any(_matches(name, target) for name in names):
            raise ValueError(
                f"--target {target} is no linear layer of this base; it has {', '.join(known)}, and {ALL} means all of "
                "them"
            )
    return tuple(targets)


def adapted_modules(network: Any, targets: Sequence[str], layers: tuple[float, float]) -> list[str]:
    """The modules that get an adapter: the names of `resolve_targets`, or full names if only some blocks get one.

    Args:
        network: the base.
        targets: as for `resolve_targets`.
        layers: the first block and the one behind the last, as fractions of the depth.

    Raises:
        ValueError: as `resolve_targets`, or if no block between the two fractions has such a module.
    """
    resolved = resolve_targets(network, targets)
    if layers == (0.0, 1.0):
        return list(resolved)
    blocks = decoder_blocks(network)
    start, end = (math.ceil(share * len(blocks) - 1e-9) for share in layers)
    inside = {id(module) for block in blocks[start:end] for module in block.modules()}
    names = [name for name in linear_names(network) if any(_matches(name, target) for target in resolved)]
    found = [name for name in names if id(network.get_submodule(name)) in inside]
    if not found:
        raise ValueError(
            f"layers {layers[0]:g} to {layers[1]:g} take none of the {len(blocks)} blocks with {' or '.join(resolved)}"
            "; widen layers, or choose other targets"
        )
    return found


def linear_names(network: Any) -> list[str]:
    """The full names of the linear layers between the embeddings and the output head."""
    ends = _ends(network)
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and not any(module is end for end in ends)
    ]


def _ends(network: Any) -> tuple[nn.Module, ...]:
    return network.get_input_embeddings(), network.get_output_embeddings()


def _matches(name: str, target: str) -> bool:
    """Whether PEFT takes the module `name` for the target."""
    return f".{name}".endswith(f".{target}")
