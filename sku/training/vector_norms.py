"""The norm of a task vector in every layer, which shows where the weights change. Only adapter files are read."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from sku.core.peft_folders import read_peft_config

if TYPE_CHECKING:
    from torch import Tensor

_FACTOR_NAME = re.compile(r"\.(\d+)\..*?([a-z0-9_]+)\.lora_([AB])\.weight$")


def layer_norms(adapter: Path) -> dict[str, list[float | None]]:
    """The Frobenius norm of (alpha / r) B A in every layer.

    Args:
        adapter: a PEFT adapter folder.

    Returns:
        Maps each module name to one norm per layer; None if the adapter does not change the module in that layer.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
    """
    from sku.models.adapter_check import read_tensors

    config = read_peft_config(adapter)
    scale = config["lora_alpha"] / config["r"]
    factors: dict[tuple[str, int], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in read_tensors(adapter).items():
        if match := _FACTOR_NAME.search(name):
            layer, module, factor = match.groups()
            factors[module, int(layer)][factor] = tensor
    layers = 1 + max((layer for _, layer in factors), default=-1)
    norms: dict[str, list[float | None]] = {module: [None] * layers for module in sorted({m for m, _ in factors})}
    for (module, layer), both in factors.items():
        norms[module][layer] = scale * product_norm(both["A"], both["B"])
    return norms


def product_norm(a: Tensor, b: Tensor) -> float:
    """The Frobenius norm of B A, computed as sqrt(trace(BᵀB · AAᵀ)), so that no matrix exceeds rank by rank.

    Args:
        a: `[rank, inputs]`.
        b: `[outputs, rank]`.
    """
    a, b = a.double(), b.double()
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0).sqrt())
