"""A variant as files that load without this project: a PEFT adapter with the negation baked in, or a checkpoint."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from sku.core import runs, storage
from sku.core.runs import Run
from sku.core.variants import Variant, parse_variant, resolve_variant
from sku.models.adapter_check import check_adapter_base
from sku.models.pretrained import provision_base

ExportForm = Literal["adapter", "model"]
_WEIGHTS = "adapter_model.safetensors"


def export_variant(text: str, out: Path, form: ExportForm, model: str | None = None) -> Path:
    """Write a variant to the new folder `out`.

    Args:
        text: the variant, such as `sku@1.0`.
        out: must not exist, or be empty.
        form: `adapter` for a PEFT adapter, `model` for a merged transformers checkpoint.
        model: a folder or hub id of the base, where it is not the one that the run names.

    Raises:
        FileExistsError: if `out` is not empty.
        ValueError: if the variant is not known, or is the base and `form` is `adapter`.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a new folder")
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    run = None if not variant.coefficients and variant.name == "base" else runs.find_run(parse_variant(text).name)
    if form == "adapter":
        if run is None:
            raise ValueError("base has no adapter to export; name another variant, or use --as model")
        _write_adapter(run, variant, out)
    else:
        _write_model(run, variant, out, model)
    return out


def write_scaled_adapter(run: Run, coefficient: float, out: Path) -> dict[str, Any]:
    """Write the run's adapter times a signed coefficient as a PEFT adapter; its configuration is returned."""
    tensors = load_file(run.adapter / _WEIGHTS)
    scaled = {name: t * coefficient if ".lora_B." in name else t for name, t in tensors.items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(scaled, out / _WEIGHTS, metadata={"format": "pt"})
    config: dict[str, Any] = json.loads((run.adapter / "adapter_config.json").read_text())
    storage.write_atomically(out / "adapter_config.json", json.dumps(config, indent=2) + "\n")
    return config


def _write_adapter(run: Run, variant: Variant, out: Path) -> None:
    signed = sum(variant.coefficients.values())  # one adapter a variant; none at coefficient 0
    write_scaled_adapter(run, signed, out)
    (out / "README.md").write_text(_card(run, variant, "peft"), encoding="utf-8")


def _write_model(run: Run | None, variant: Variant, out: Path, model: str | None) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = provision_base(model or (run.manifest.base if run else "smollm2-135m"))
    network = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    if run is not None and variant.coefficients:
        from sku.models.variant_model import fingerprint

        check_adapter_base(run.adapter, fingerprint(network))
        with tempfile.TemporaryDirectory() as folder:
            write_scaled_adapter(run, sum(variant.coefficients.values()), Path(folder))
            network = PeftModel.from_pretrained(network, folder).merge_and_unload(safe_merge=True)
    making = out.with_name(f".{out.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    network.save_pretrained(making)
    AutoTokenizer.from_pretrained(source).save_pretrained(making)
    if run is not None:
        (making / "README.md").write_text(_card(run, variant, "transformers"), encoding="utf-8")
    if out.exists():
        out.rmdir()
    making.rename(out)


def _card(run: Run, variant: Variant, library: str) -> str:
    about = run.manifest
    sources = [source for kind in about.data.values() for source in kind]
    steps = about.step or about.steps  # of a snapshot, those it had
    data = "\n".join(f"- {s['name']}: {s['pairs']} pairs, licence {s['licence'] or 'not stated'}" for s in sources)
    return f"""---
base_model: {about.base}
library_name: {library}
tags: [unlearning, sku]
---

# {variant}

{about.method} at coefficient {variant.coefficient:g}, sign and coefficient baked in; load it like any other.

Base `{about.base}` (fingerprint {about.base_fingerprint}). Trained {steps} steps, seed {about.seed}, on:

{data or "- nothing (a control)"}

Unlearned does not mean safe: measure it before you rely on it.
"""
