"""The decoder blocks of a network, and what they put out.

They are found by structure, because architectures name them differently (`model.layers`, `model.decoder.layers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.batching import left_pad
from sku.models.variant_model import VariantModel

PROMPTS_PER_FORWARD = 16


def decoder_blocks(network: Any) -> list[nn.Module]:
    """The blocks in order: the outermost list of modules that has as many members as the network has layers.

    Raises:
        ValueError: if there is no such list.
    """
    layers = network.config.num_hidden_layers
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers:
            return list(module)
    raise ValueError(
        f"{type(network).__name__} has no list of {layers} blocks, so its hidden states cannot be read or changed; "
        "use an attack that works on prompts or weights"
    )


def hidden_states_of(output: Any) -> Tensor:
    """The hidden states `[B, T, H]` in the output of a block, which is a tensor or a tuple that starts with it."""
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def replace_hidden_states(output: Any, hidden: Tensor) -> Any:
    """The output of a block with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


@torch.no_grad()
def last_prompt_states(
    model: VariantModel,
    prompts: Sequence[str],
    coefficients: Mapping[str, float],
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """The output of every block at the last token before the answer.

    Args:
        model: reads the prompts.
        prompts: P questions as a person asks them, at least one.
        coefficients: the variant that reads.
        check: called before every batch; may raise.

    Returns:
        `[blocks, P, H]` in fp32.

    Raises:
        ValueError: if there are no prompts.
    """
    if not prompts:
        raise ValueError("there is no prompt whose hidden states could be read; give at least one")
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        kept.append(hidden_states_of(output)[:, -1].float())

    view = AlteredModel(model, hooks=[ModuleHook(block, keep) for block in decoder_blocks(model.network)])
    batches = []
    for start in range(0, len(prompts), PROMPTS_PER_FORWARD):
        check()
        encoded = [model.template.prompt_ids(prompt) for prompt in prompts[start : start + PROMPTS_PER_FORWARD]]
        ids, mask = left_pad(encoded, model.device)
        view.last_hidden_states([coefficients] * len(encoded), ids, mask, None)
        batches.append(torch.stack(kept))
        kept.clear()
    return torch.cat(batches, dim=1)
