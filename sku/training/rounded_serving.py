"""Score rows as if the served model were merged and rounded to 4 bits, so that what is learned survives rounding.

Rounding is taken as a constant: the model runs with Q(W + d), and the gradient is that of W + d (straight through).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from sku.models.weight_rounding import GROUP_OF_GGUF, int4_asymmetric


class RoundedServing:
    """Rounds the adapted layers of one network. Layers without an adapter stay as they are."""

    def __init__(self, layers: Sequence[LoraLayer], scale: float) -> None:
        """Prepare; nothing changes yet.

        Args:
            layers: the adapted layers.
            scale: the served model is W + scale * B A.

        Raises:
            ValueError: if a layer keeps its weight in a form that cannot be rounded, or does not fit the groups.
        """
        self._layers, self._scale = layers, scale
        for layer in layers:
            base = layer.get_base_layer()
            if (
                not (isinstance(base, nn.Linear) and base.weight.is_floating_point())
                or base.in_features % GROUP_OF_GGUF
            ):
                raise ValueError(
                    f"round_every needs linear layers in full precision with inputs in groups of {GROUP_OF_GGUF}, and "
                    f"{base} is none; train with round_every=0"
                )

    @contextmanager
    def on_rows(self, served: Tensor | float) -> Iterator[None]:
        """Rounded weights in forward passes, for some rows.

        Args:
            served: 1 in rows that are scored where the model is served, else 0; it broadcasts to the output of a
                layer.
        """
        with ExitStack() as stack:
            for layer in self._layers:
                hook = _added(self._error_of_rounding(layer), served)
                stack.enter_context(layer.register_forward_hook(hook, prepend=True))
            yield

    @torch.no_grad()
    def _error_of_rounding(self, layer: Any) -> Tensor:
        """Q(W + d) - (W + d), `[outputs, inputs]`."""
        change: Tensor = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        merged: Tensor = layer.get_base_layer().weight + self._scale * change
        return int4_asymmetric(merged) - merged


def _added(error: Tensor, served: Tensor | float) -> Callable[..., Tensor]:
    def hook(_layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output + served * functional.linear(inputs[0], error)

    return hook
