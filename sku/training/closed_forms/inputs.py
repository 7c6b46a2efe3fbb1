"""What a method without training steps gets: the base, and harmful and normal answers whose activations it may read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sku.core.config import TrainConfig
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.batching import EncodedPair, collate
from sku.models.likelihood import by_length
from sku.models.variant_model import VariantModel

MAX_TOKENS_PER_FORWARD = 2048


@dataclass(frozen=True)
class ClosedFormInputs:
    """The base and the training pairs."""

    model: VariantModel
    """The base, without adapters."""
    harmful: Sequence[EncodedPair]
    """Harmful answers with their prompts, at least one."""
    normal: Sequence[EncodedPair]
    """Normal answers with their prompts, at least one."""
    config: TrainConfig
    check: Callable[[], None] = lambda: None
    """Called before every forward pass; may raise."""


ClosedForm = Callable[[ClosedFormInputs], dict[str, Tensor]]
"""A function that returns the exact change `[outputs, inputs]` of every changed weight matrix, by its module's name."""


def layer_inputs(
    inputs: ClosedFormInputs, rows: Sequence[EncodedPair], layers: Sequence[nn.Module]
) -> Iterator[tuple[EncodedPair, list[Tensor]]]:
    """What each layer reads at the tokens that predict an answer, row by row.

    Args:
        inputs: holds the model.
        rows: prompts with answers.
        layers: layers of the network that read hidden states or activations.

    Yields:
        A row, and for each layer a tensor `[N, features]` in fp32, where N is the number of answer tokens. The row with
        index n of a tensor predicts answer token n.
    """
    kept: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, received: tuple[Any, ...], _output: Any) -> None:
        kept[module] = received[0]

    view = AlteredModel(inputs.model, hooks=[ModuleHook(layer, keep) for layer in layers])
    for places in by_length([(row, {}) for row in rows], MAX_TOKENS_PER_FORWARD):
        inputs.check()
        some = [rows[i] for i in places]
        batch = collate(some).to(inputs.model.device)
        with torch.no_grad():
            view.last_hidden_states([{}] * len(some), batch.input_ids, batch.attention_mask, None)
        tokens = [kept[layer].reshape(*batch.input_ids.shape, -1) for layer in layers]  # OPT flattens rows and tokens
        for i, row in enumerate(some):
            yield row, [of_layer[i, row.prompt_tokens - 1 : len(row.ids) - 1].float() for of_layer in tokens]
