"""Give LoRA layers their rows back where a model flattens its batch.

A coefficient per row is a tensor `[B, 1, 1]`, which fits inputs `[B, T, H]`. Some models flatten the batch before a
layer: OPT passes `[B * T, H]` to fc1 and fc2. Inside such a LoRA layer the input is `[B, T, H]` again, and its output
leaves the layer flattened as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from torch import Tensor, nn

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer


class FlattenedInputs:
    """Hooks on the LoRA layers of one network. They only act on layers whose coefficients differ between rows."""

    def __init__(self, network: Any) -> None:
        self._batch = (0, 0)
        """Rows and tokens of the batch in the current forward pass."""
        self._watched: WeakSet[LoraLayer] = WeakSet()
        self._outer_shape: tuple[int, ...] | None = None
        """The leading dimensions of the input of the layer that runs now; None if the hooks left it alone."""
        network.get_input_embeddings().register_forward_pre_hook(self._note_batch)

    def watch(self, layer: LoraLayer) -> None:
        """Let `layer` have one coefficient per row, whatever the shape of its input."""
        if layer not in self._watched:
            self._watched.add(layer)
            layer.register_forward_pre_hook(self._restore_rows)
            layer.register_forward_hook(self._flatten_again)

    def _note_batch(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        # Gradient checkpointing runs layers of an earlier batch again, so a pass of the base alone must not be noted.
        if inputs[0].ndim == 2 and not any(layer.disable_adapters for layer in self._watched):
            self._batch = tuple(inputs[0].shape)

    def _restore_rows(self, layer: LoraLayer, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        self._outer_shape = None
        rows = _rows_with_coefficients(layer)
        x: Tensor = inputs[0]
        if rows is None or (x.ndim == 3 and len(x) == rows):
            return None
        if rows not in (1, len(x)) and tuple(x.shape[:-1]) != (rows * self._batch[1],):
            raise ValueError(
                f"a layer with an adapter gets an input {list(x.shape)} in a batch of {rows} rows of {self._batch[1]} "
                "tokens, so its rows cannot have different coefficients; use an adapter without that layer"
            )
        self._outer_shape = tuple(x.shape[:-1])
        return x.reshape(rows, -1, x.shape[-1]), *inputs[1:]

    def _flatten_again(self, _layer: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if self._outer_shape is None else output.reshape(*self._outer_shape, output.shape[-1])


def _rows_with_coefficients(layer: LoraLayer) -> int | None:
    """The number of rows that have coefficients of their own in `layer`; None if no adapter at work has any."""
    if layer.disable_adapters:
        return None
    scales = [layer.scaling.get(name) for name in layer.active_adapters]
    return next((len(scale) for scale in scales if isinstance(scale, Tensor)), None)
