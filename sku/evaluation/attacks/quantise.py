"""Rounding: weights are stored with fewer bits, as for use on a laptop or a phone (arXiv:2410.16454).

A merged variant is rounded as a whole: W <- Q(W + sum c tau). Small changes fall back onto the base's grid. With the
adapter kept apart only the base is rounded, W <- Q(W), and the change stays whole (arXiv:2602.13151). Only the linear
layers between embedding and output head are rounded. The base is measured under the same rounding, so that damage done
by rounding does not look like recovery.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.altered_model import AlteredModel
from sku.models.variant_model import VariantModel
from sku.models.weight_rounding import (
    RoundWeight,
    int4_asymmetric,
    int4_symmetric,
    int8_by_output,
    int8_symmetric,
)

ROUNDINGS: dict[str, RoundWeight] = {
    "int4": int4_asymmetric,
    "int4-g64": int4_symmetric,
    "int8": int8_symmetric,
    "int8-by-output": int8_by_output,
}
_LAYER_NUMBER = re.compile(r"\.(\d+)\.")


@contextmanager
def round_weights(context: AttackContext, variant: Variant, rounding: str, apart: bool) -> Iterator[AttackedModel]:
    """The variant with rounded weights.

    Args:
        context: holds the model.
        variant: what is rounded.
        rounding: a name in `ROUNDINGS`.
        apart: whether only the base is rounded and the adapters are kept apart.

    Raises:
        ValueError: if the weights do not fit the groups of this rounding.
    """
    model, details = merged_and_rounded(context, {} if apart else variant.coefficients, rounding)
    yield AttackedModel(model, variant.coefficients if apart else {}, details)


def merged_and_rounded(
    context: AttackContext, coefficients: dict[str, float], rounding: str
) -> tuple[AlteredModel, dict[str, Any]]:
    """A view of the model with the weights Q(W + sum c tau), and how much of the sum is left in them.

    Args:
        context: holds the model.
        coefficients: the signed coefficients of the adapters that are merged before rounding.
        rounding: a name in `ROUNDINGS`.

    Raises:
        ValueError: if the weights do not fit the groups of this rounding.
    """
    model, survived = context.model, Survival()
    weights: dict[Tensor, Tensor] = {}
    for name, layer in decoder_linears(model):
        context.check()
        with ExitStack() as undo:
            undo.callback(model.hold())  # a forward of another visitor may have other weights in place
            change = weight_change(model, layer, coefficients)
            base = base_linear(layer)
            if change is None:
                weights[base.weight] = ROUNDINGS[rounding](base.weight)
            else:
                weights[base.weight] = ROUNDINGS[rounding](base.weight + change)
                survived.add(name, weights[base.weight] - ROUNDINGS[rounding](base.weight), change)
    return AlteredModel(model, weights), survived.details() if survived.total else {}


class Survival:
    """How much of a vector is left after rounding: <Q(W + d) - Q(W), d> / |d|^2 over all weights, and by layer."""

    def __init__(self) -> None:
        self.left: dict[str, float] = defaultdict(float)
        self.total: dict[str, float] = defaultdict(float)

    def add(self, module: str, rounded_change: Tensor, change: Tensor) -> None:
        """Count one weight."""
        number = _LAYER_NUMBER.search(module)
        layer, d = number.group(1) if number else module, change.double()
        self.left[layer] += float((rounded_change.double() * d).sum())
        self.total[layer] += float((d * d).sum())

    def details(self) -> dict[str, Any]:
        """`survived` and `survived_by_layer`; 1 means that all of it is left."""
        by_layer = {layer: self.left[layer] / size for layer, size in self.total.items() if size}
        size = sum(self.total.values())
        return {"survived": sum(self.left.values()) / size, "survived_by_layer": by_layer} if size else {}


def decoder_linears(model: VariantModel) -> list[tuple[str, nn.Module]]:
    """The linear layers between embedding and output head, LoRA or not, by name."""
    head = model.network.get_output_embeddings()
    found: list[tuple[str, nn.Module]] = []
    inside: set[nn.Module] = set()
    for name, module in model.network.named_modules():
        if isinstance(module, LoraLayer) and isinstance(module.get_base_layer(), nn.Linear):
            inside.update(module.modules())
            found.append((name, module))
        elif isinstance(module, nn.Linear) and module is not head and module not in inside:
            found.append((name, module))
    return found


def base_linear(layer: nn.Module) -> nn.Linear:
    """The base's own linear layer, without LoRA. `layer` is one of `decoder_linears`."""
    return cast(nn.Linear, layer.get_base_layer() if isinstance(layer, LoraLayer) else layer)


@torch.no_grad()
def weight_change(model: VariantModel, layer: nn.Module, coefficients: dict[str, float]) -> Tensor | None:
    """sum_i c_i (alpha_i / r_i) B_i A_i of one layer; None where no adapter changes it."""
    if not isinstance(layer, LoraLayer):
        return None
    parts = [
        signed * model.unit_scale(name, layer) * (layer.lora_B[name].weight @ layer.lora_A[name].weight)
        for name, signed in coefficients.items()
        if name in layer.lora_A
    ]
    return sum(parts[1:], parts[0]) if parts else None
