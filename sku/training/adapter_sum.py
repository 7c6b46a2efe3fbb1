"""Write adapters times signed coefficients as one PEFT adapter. Loads no base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sku.core import runs, storage
from sku.core.peft_folders import PEFT_CONFIG, PEFT_WEIGHTS, read_peft_config
from sku.core.runs import Run
from sku.core.variants import BASE, Variant, parse_variant
from sku.models.adapter_check import BASE_FINGERPRINT, read_tensors
from sku.models.pretrained import hub_id_of

_NOT_STACKED = ("use_rslora", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern")
"""Settings of an adapter with which a sum cannot be written as one plain LoRA adapter."""


def write_summed_adapter(parts: Sequence[tuple[Run, float]], out: Path) -> None:
    """Write a sum of adapters, each times its signed coefficient, as one PEFT adapter.

    The sum of c_i (alpha_i / r_i) B_i A_i equals one product of stacked factors, so the result is exact. Its rank is
    the sum of the ranks.

    Args:
        parts: one or more runs with their signed coefficients.
        out: a folder; it is created if it does not exist.

    Raises:
        ValueError: if the runs were trained on different bases, as far as they say so, or have a rank or
            scale that differs between layers.
    """
    known = {run.manifest.base_fingerprint for run, _ in parts if run.manifest.base_fingerprint}
    if len(known) > 1:
        names = ", ".join(f"{run.name} on {run.manifest.base}" for run, _ in parts)
        raise ValueError(f"a sum needs adapters of one base, but these differ: {names}; export them one by one")
    configs = [read_peft_config(run.adapter) for run, _ in parts]
    if len(parts) > 1:
        for (run, _), config in zip(parts, configs, strict=True):
            require_plain(run, config)
    factors = [read_tensors(run.adapter) for run, _ in parts]
    coefficients = [coefficient for _, coefficient in parts]
    if len(parts) == 1:
        tensors, config = _scaled(factors[0], coefficients[0]), configs[0]
    else:
        tensors, config = _stacked(factors, coefficients, configs), _summed_config(configs)
    hub_ids = (hub_id_of(run.manifest.base) for run, _ in parts)
    config["base_model_name_or_path"] = next(filter(None, hub_ids), None)  # never a folder of this machine
    fingerprint = {BASE_FINGERPRINT: known.pop()} if known else {}
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / PEFT_WEIGHTS, metadata={"format": "pt"} | fingerprint)
    storage.write_atomically(out / PEFT_CONFIG, json.dumps(config, indent=2) + "\n")


def _scaled(factors: dict[str, Tensor], coefficient: float) -> dict[str, Tensor]:
    return {name: tensor * coefficient if ".lora_B." in name else tensor for name, tensor in factors.items()}


def signed_runs(variant: Variant) -> list[tuple[Run, float]]:
    """The runs of a variant with their signed coefficients. Runs with coefficient 0 are included; the base has none."""
    if variant.name == BASE:
        return []
    runs_by_adapter = {run.known.adapter: run for run in map(runs.find_run, parse_variant(str(variant)).names)}
    return [(run, variant.coefficients.get(key, 0.0)) for key, run in runs_by_adapter.items()]


def require_plain(run: Run, config: dict[str, Any]) -> None:
    """Check that all layers of the adapter have the same rank and the same scale, alpha / r.

    Raises:
        ValueError: if they do not.
    """
    unusual = [name for name in _NOT_STACKED if config.get(name)]
    if unusual or not isinstance(config["target_modules"], list):
        names = ", ".join(unusual) or "a pattern of target_modules"
        raise ValueError(f"run {run.name} uses {names}, which a sum does not support; export the runs one by one")


def _stacked(
    factors: Sequence[dict[str, Tensor]], coefficients: Sequence[float], configs: Sequence[dict[str, Any]]
) -> dict[str, Tensor]:
    """Stack the A factors along their rows and the scaled B factors along their columns.

    An adapter that lacks a matrix contributes zeros.
    """
    stacked: dict[str, Tensor] = {}
    for name in sorted({name for adapter in factors for name in adapter}):
        is_b = ".lora_B." in name
        example = next(adapter[name] for adapter in factors if name in adapter)
        blocks = []
        for adapter, coefficient, config in zip(factors, coefficients, configs, strict=True):
            rank = int(config["r"])
            scale = coefficient * config["lora_alpha"] / rank if is_b else 1.0
            missing = example.new_zeros((len(example), rank) if is_b else (rank, example.shape[1]))
            blocks.append(adapter.get(name, missing) * scale)
        stacked[name] = torch.cat(blocks, dim=1 if is_b else 0).contiguous()
    return stacked


def _summed_config(configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rank = sum(int(config["r"]) for config in configs)
    targets = sorted({target for config in configs for target in config["target_modules"]})
    return configs[0] | {"r": rank, "lora_alpha": rank, "target_modules": targets}
