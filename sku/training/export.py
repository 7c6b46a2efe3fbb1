"""Export a variant as files that load without this project: a PEFT adapter or a merged checkpoint.

The sign and the coefficient become part of the exported weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sku.core import runs, storage
from sku.core.runs import Run
from sku.core.variants import BASE, Variant, parse_variant, resolve_variant
from sku.models.adapter_check import check_adapter_base
from sku.models.pretrained import DEFAULT_BASE, provision_base

ExportForm = Literal["adapter", "model"]
_WEIGHTS = "adapter_model.safetensors"
_NOT_STACKED = ("use_rslora", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern")
"""Settings of an adapter with which a sum cannot be written as one plain LoRA adapter."""


def export_variant(text: str, out: Path, form: ExportForm, model: str | None = None) -> Path:
    """Write a variant to the new folder `out`.

    Args:
        text: the variant, such as `sku@1.0` or `ga@0.5+sku@1`.
        out: a folder that does not exist or is empty.
        form: `adapter` writes a PEFT adapter, `model` writes a merged transformers checkpoint.
        model: the folder or hub id of the base, if it is not the base that the run names.

    Raises:
        FileExistsError: if `out` is not empty.
        ValueError: if the variant is unknown, or if it is the base and `form` is `adapter`.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a new folder")
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    if form == "adapter":
        if variant.name == BASE:
            raise ValueError("base has no adapter to export; name another variant, or use --as model")
        _write_adapter(_parts(variant), variant, out)
    else:
        _write_model(_parts(variant), variant, out, model)
    return out


def write_summed_adapter(parts: Sequence[tuple[Run, float]], out: Path) -> None:
    """Write a sum of adapters, each times its signed coefficient, as one PEFT adapter.

    The sum of c_i (alpha_i / r_i) B_i A_i equals one product of stacked factors, so the result is exact. Its rank is
    the sum of the ranks.

    Args:
        parts: one or more runs with their signed coefficients.
        out: a folder; it is created if it does not exist.

    Raises:
        ValueError: if the runs were trained on different bases, or have a rank or scale that differs between layers.
    """
    if len({run.manifest.base_fingerprint for run, _ in parts}) > 1:
        names = ", ".join(f"{run.name} on {run.manifest.base}" for run, _ in parts)
        raise ValueError(f"a sum needs adapters of one base, but these differ: {names}; export them one by one")
    configs = [json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8")) for run, _ in parts]
    if len(parts) > 1:
        for (run, _), config in zip(parts, configs, strict=True):
            _require_plain(run, config)
    factors = [load_file(run.adapter / _WEIGHTS) for run, _ in parts]
    coefficients = [coefficient for _, coefficient in parts]
    if len(parts) == 1:
        tensors, config = _scaled(factors[0], coefficients[0]), configs[0]
    else:
        tensors, config = _stacked(factors, coefficients, configs), _summed_config(configs)
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / _WEIGHTS, metadata={"format": "pt"})
    storage.write_atomically(out / "adapter_config.json", json.dumps(config, indent=2) + "\n")


def _parts(variant: Variant) -> list[tuple[Run, float]]:
    """The runs of a variant with their signed coefficients. Runs with coefficient 0 are included."""
    if variant.name == BASE:
        return []
    runs_by_adapter = {run.known.adapter: run for run in map(runs.find_run, parse_variant(str(variant)).names)}
    return [(run, variant.coefficients.get(key, 0.0)) for key, run in runs_by_adapter.items()]


def _scaled(factors: dict[str, Tensor], coefficient: float) -> dict[str, Tensor]:
    return {name: tensor * coefficient if ".lora_B." in name else tensor for name, tensor in factors.items()}


def _require_plain(run: Run, config: dict[str, Any]) -> None:
    """Raise ValueError unless all layers of the adapter have the same rank and the same scale, alpha / r."""
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


def _write_adapter(parts: Sequence[tuple[Run, float]], variant: Variant, out: Path) -> None:
    write_summed_adapter(parts, out)
    (out / "README.md").write_text(_card(parts, variant, "peft"), encoding="utf-8")


def _write_model(parts: Sequence[tuple[Run, float]], variant: Variant, out: Path, model: str | None) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = provision_base(model or (parts[0][0].manifest.base if parts else DEFAULT_BASE))
    network = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    if variant.coefficients:
        from sku.models.variant_model import fingerprint

        base = fingerprint(network)
        for run, _ in parts:
            check_adapter_base(run.adapter, base)
        with tempfile.TemporaryDirectory() as folder:
            write_summed_adapter(parts, Path(folder))
            network = PeftModel.from_pretrained(network, folder).merge_and_unload(safe_merge=True)
    temporary = out.with_name(f".{out.name}.making")
    shutil.rmtree(temporary, ignore_errors=True)
    network.save_pretrained(temporary)
    AutoTokenizer.from_pretrained(source).save_pretrained(temporary)
    if parts:
        (temporary / "README.md").write_text(_card(parts, variant, "transformers"), encoding="utf-8")
    if out.exists():
        out.rmdir()
    temporary.rename(out)


def _card(parts: Sequence[tuple[Run, float]], variant: Variant, library: str) -> str:
    first = parts[0][0].manifest
    trained = "\n\n".join(_training_facts(run) for run, _ in parts)
    return f"""---
base_model: {first.base}
library_name: {library}
tags: [unlearning, sku]
---

# {variant}

The sign and the coefficient are part of the weights, so load it like any other model.

The base is `{first.base}` (fingerprint {first.base_fingerprint}).

{trained}

Unlearned does not mean safe: measure the model before you rely on it.
"""


def _training_facts(run: Run) -> str:
    manifest = run.manifest
    sources = [source for kind in manifest.data.values() for source in kind]
    steps = manifest.step or manifest.steps  # a snapshot took fewer steps than its run
    data = "\n".join(f"- {s['name']}: {s['pairs']} pairs, licence {s['licence'] or 'not stated'}" for s in sources)
    trained = f"`{manifest.method}`, trained for {steps} steps with seed {manifest.seed}"
    return f"{trained}, on:\n\n{data or '- nothing (a control)'}"
