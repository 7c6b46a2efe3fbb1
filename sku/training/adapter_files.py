"""Read and write PEFT adapters as weight changes by module name. Loads no base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from peft import LoraConfig
from safetensors.torch import save_file

from sku.core.peft_folders import PEFT_WEIGHTS, read_peft_config
from sku.core.runs import Run
from sku.models.adapter_check import read_tensors
from sku.training.adapter_sum import require_plain
from sku.training.low_rank import LowRank

_PREFIX = "base_model.model."
"""PEFT's name of the base within the model that it returns."""


def read_changes(run: Run) -> dict[str, LowRank]:
    """The weight change (alpha / rank) B A of every module that the run's adapter has, by the module's name.

    Raises:
        ValueError: if the adapter's rank or scale differs between layers.
    """
    config = read_peft_config(run.adapter)
    require_plain(run, config)
    scale = config["lora_alpha"] / config["r"]
    tensors = read_tensors(run.adapter)
    return {
        name.removeprefix(_PREFIX).removesuffix(".lora_A.weight"): LowRank(
            a.float(), tensors[name.replace(".lora_A.", ".lora_B.")].float() * scale
        )
        for name, a in sorted(tensors.items())
        if ".lora_A." in name
    }


def write_changes(folder: Path, changes: Mapping[str, LowRank], base: str) -> LoraConfig:
    """Write weight changes as a PEFT adapter with alpha = rank, the largest rank among the changes.

    Args:
        folder: the adapter folder; it is created if it does not exist.
        changes: the full names of modules with their changes.
        base: the name of the base, for the adapter's config.

    Returns:
        The adapter's config.
    """
    rank = max(1, *(change.rank for change in changes.values()))
    tensors = {}
    for name, change in changes.items():
        padded = change.padded(rank)
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = padded.a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = padded.b.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / PEFT_WEIGHTS, metadata={"format": "pt"})
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        target_modules=sorted(changes),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    )
    config.save_pretrained(folder)
    return config
