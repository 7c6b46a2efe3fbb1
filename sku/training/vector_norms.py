"""The norm of a task vector layer by layer, which shows that weights change and where. Reads adapter files only."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_PLACE = re.compile(r"\.(\d+)\..*?([a-z0-9_]+)\.lora_([AB])\.weight$")


def layer_norms(adapter: Path) -> dict[str, list[float | None]]:
    """Frobenius norm of alpha / r B A of every layer: module name to a number a layer, None where there is none.

    Args:
        adapter: a PEFT folder.

    Raises:
        FileNotFoundError: if there is no adapter in it.
    """
    from safetensors.torch import load_file

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    factors: dict[tuple[str, int], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in load_file(adapter / "adapter_model.safetensors").items():
        if found := _PLACE.search(name):
            layer, module, factor = found.groups()
            factors[module, int(layer)][factor] = tensor
    layers = 1 + max((layer for _, layer in factors), default=-1)
    made: dict[str, list[float | None]] = {module: [None] * layers for module in sorted({m for m, _ in factors})}
    for (module, layer), both in factors.items():
        made[module][layer] = scale * product_norm(both["A"], both["B"])
    return made


def product_norm(a: Tensor, b: Tensor) -> float:
    """Frobenius norm of B A without forming it: sqrt(trace(BᵀB · AAᵀ)), of matrices no larger than the rank.

    Args:
        a: `[rank, inputs]`.
        b: `[outputs, rank]`.
    """
    a, b = a.double(), b.double()
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0).sqrt())
