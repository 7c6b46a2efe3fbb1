"""A view of a model with other weights or with hooks, without a second copy of the model.

The changes are in place only while one of the view's own forward passes runs. Between two forward passes, and for every
other user of the model, the network is unchanged. So a cancelled attack leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sku.models.prefix_cache import PrefixCache
from sku.models.variant_model import VariantModel


class ModuleHook(NamedTuple):
    """A function that may replace the output of a module."""

    module: nn.Module
    hook: Callable[[nn.Module, tuple[Any, ...], Any], Any]
    """Called as PyTorch calls a forward hook: with the module, its inputs and its output."""


class AlteredModel(VariantModel):
    """Works like `original`, but its forward passes use other weights and hooks."""

    def __init__(
        self,
        original: VariantModel,
        weights: Mapping[Tensor, Tensor] | None = None,
        hooks: Sequence[ModuleHook] = (),
    ) -> None:
        """Make a view.

        Args:
            original: the model, which keeps its weights.
            weights: maps parameters of the network to the values that they have in the view, of the same shape.
            hooks: forward hooks that only the view has.
        """
        self._original = original
        self._weights = dict(weights or {})
        self._hooks = tuple(hooks)
        self.network = original.network
        self.tokenizer = original.tokenizer
        self.template = original.template
        self.fingerprint = original.fingerprint
        self.loaded_hash = original.loaded_hash
        self.matmul = original.matmul
        self.few_bits = None  # an attacked model is computed in fp32
        self.prefix_cache = PrefixCache()
        self.gates = original.gates
        self.gate_values = {}

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters of the original."""
        return self._original.adapters

    def unit_scale(self, name: str, layer: LoraLayer) -> float:
        """As in the original."""
        return self._original.unit_scale(name, layer)

    def add(self, name: str, folder: Any) -> None:
        """Load an adapter into the original, and so into the view."""
        self._original.add(name, folder)

    def remove(self, name: str) -> None:
        """Unload an adapter of the original."""
        self._original.remove(name)

    def check_base(self, after: str) -> None:
        """Check the weights of the original, without the changes of the view."""
        self._original.check_base(after)

    def to(self, device: str) -> VariantModel:
        """Not supported: the weights of the view are on one device.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"a model under attack cannot move to {device}; move the model first, then attack it")

    def hold(self) -> Callable[[], None]:
        """Block forward passes of the original and of all its views until the returned function is called."""
        return self._original.hold()

    @contextmanager
    def rows(self, coefficients: Sequence[Mapping[str, float]]) -> Iterator[Any]:
        """As `VariantModel.rows`, with the changes in place."""
        with self._original.rows(coefficients) as network, ExitStack() as undo:
            for parameter, value in self._weights.items():
                undo.callback(setattr, parameter, "data", parameter.data)
                parameter.data = value
            for module, hook in self._hooks:
                handle: RemovableHandle = module.register_forward_hook(hook)
                undo.callback(handle.remove)
            yield network
