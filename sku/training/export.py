"""Export a variant as files that load without this project.

A form is an adapter (PEFT, or GGUF for llama.cpp) or a merged model (transformers checkpoint, or GGUF). The sign and
the coefficient become part of the exported weights.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from sku.core import runs
from sku.core.methods import METHODS
from sku.core.output_paths import check_output_folder
from sku.core.runs import Run
from sku.core.variants import BASE, Variant, resolve_variant
from sku.models.adapter_check import check_adapter_base
from sku.models.gguf_layout import GgufLayout, gguf_layout
from sku.models.pretrained import DEFAULT_BASE, provision_base, provision_base_gguf
from sku.models.wheels import ReportLine
from sku.training import gguf_export
from sku.training.adapter_sum import signed_runs, write_summed_adapter
from sku.training.gguf_export import DEFAULT_FORMAT, About, BaseFile, NumberFormat

ExportForm = Literal["adapter", "model", "gguf", "gguf-adapter"]
_LIBRARIES = {"adapter": "peft", "model": "transformers", "gguf": "gguf", "gguf-adapter": "gguf"}
MERGE_ADVICE = (
    "merged: rounding this model to 4 bits removes most of what was unlearned (assets/docs/robustness.md); "
    "to quantise, keep the adapter apart (--as adapter or gguf-adapter)"
)
ROUNDED_ADVICE = (
    "merged and rounded to 4 bits: that removes most of what was unlearned (assets/docs/robustness.md); "
    "use --as gguf-adapter on a 4-bit base instead"
)
SCALE_NOTE = "llama.cpp's scale 1 is this variant. A scale s multiplies its coefficient by s, and 0 is the base."


@dataclass(frozen=True)
class _Recipe:
    """What a variant is made of."""

    variant: Variant
    parts: list[tuple[Run, float]]
    """The runs with their signed coefficients, including those with coefficient 0. Empty for the base."""
    base: str
    """The name, hub id or folder of the base."""


def export_variant(
    text: str,
    out: Path,
    form: ExportForm,
    model: str | None = None,
    *,
    number_format: NumberFormat = DEFAULT_FORMAT,
    base_gguf: Path | None = None,
    report: ReportLine = lambda _: None,
) -> Path:
    """Write a variant to the new folder `out`. If the export fails, `out` is as it was.

    Args:
        text: the variant, such as `sku@1.0` or `ga@0.5+sku@1`.
        out: a folder that does not exist or is empty.
        form: `adapter` writes a PEFT adapter, `model` a merged transformers checkpoint, `gguf` a merged GGUF file and
            `gguf-adapter` a LoRA adapter for llama.cpp.
        model: the folder or hub id of the base, if it is not the base that the run names.
        number_format: of the weights in a merged GGUF file.
        base_gguf: a GGUF file of the base. A merged GGUF file copies its metadata and tokenizer. By default the file
            that the default base was made from.
        report: called with a line of text before each slow step.

    Raises:
        FileExistsError: if `out` is not empty.
        ValueError: if the variant is unknown, if it is the base and `form` is an adapter, or if a GGUF file of this
            base cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; name a new folder")
    check_output_folder(out)
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    if variant.name == BASE and form in ("adapter", "gguf-adapter"):
        raise ValueError("base has no adapter to export; name another variant, or use --as model or --as gguf")
    parts = signed_runs(variant)
    recipe = _Recipe(variant, parts, model or (parts[0][0].manifest.base if parts else DEFAULT_BASE))
    with _new_folder(out) as folder:
        if form == "adapter":
            write_summed_adapter(parts, folder)
        elif form == "model":
            _write_model(recipe, folder)
        elif form == "gguf":
            _write_gguf(recipe, folder, number_format, base_gguf, report)
        else:
            _write_gguf_adapter(recipe, folder)
        if parts:
            (folder / "README.md").write_text(_card(recipe, form), encoding="utf-8")
    return out


def merge_advice(text: str, form: ExportForm, number_format: NumberFormat = DEFAULT_FORMAT) -> str | None:
    """One line about what merging costs; None if nothing was merged."""
    if form not in ("model", "gguf") or text == BASE:
        return None
    return ROUNDED_ADVICE if form == "gguf" and number_format == "q4_1" else MERGE_ADVICE


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill. It becomes `out` at the end of the block, and is removed if the block fails."""
    out = out.absolute()
    temporary = out.with_name(f".{out.name}.making")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load_base(recipe: _Recipe) -> Any:
    """The base in fp32.

    Raises:
        ValueError: if a run was trained on another base.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from sku.models.variant_model import fingerprint

    logging.disable_progress_bar()  # loading takes two seconds
    network = AutoModelForCausalLM.from_pretrained(provision_base(recipe.base), dtype=torch.float32)
    base = fingerprint(network)
    for run, _ in recipe.parts:
        check_adapter_base(run.adapter, base)
    return network


def _merge(network: Any, recipe: _Recipe) -> Any:
    """The network with the adapters added to its weights."""
    from peft import PeftModel

    if not any(coefficient for _, coefficient in recipe.parts):
        return network
    with tempfile.TemporaryDirectory() as folder:
        write_summed_adapter(recipe.parts, Path(folder))
        return PeftModel.from_pretrained(network, folder).merge_and_unload(safe_merge=True)


def _write_model(recipe: _Recipe, folder: Path) -> None:
    from transformers import AutoTokenizer

    network = _load_base(recipe)
    check_output_folder(folder, sum(weight.nbytes for weight in network.state_dict().values()))
    _merge(network, recipe).save_pretrained(folder)
    AutoTokenizer.from_pretrained(provision_base(recipe.base)).save_pretrained(folder)


def _write_gguf(
    recipe: _Recipe, folder: Path, number_format: NumberFormat, base_gguf: Path | None, report: ReportLine
) -> None:
    layout = _layout(recipe)
    if base_gguf is None and recipe.base != DEFAULT_BASE:
        raise ValueError(
            f"a GGUF file needs llama.cpp's form of the tokenizer of {recipe.base}; name a GGUF file of that base with "
            "--base-gguf, or use --as model and convert the folder with llama.cpp's convert_hf_to_gguf.py"
        )
    network = _load_base(recipe)
    base = BaseFile(base_gguf or provision_base_gguf(report), network, layout)
    about = _about(recipe, "The sign and the coefficient are part of the weights.")
    file = folder / f"model-{number_format}.gguf"
    gguf_export.write_merged_gguf(_merge(network, recipe), layout, base, file, number_format, about)


def _write_gguf_adapter(recipe: _Recipe, folder: Path) -> None:
    layout = _layout(recipe)
    _load_base(recipe)  # checks that the adapters belong to it
    with tempfile.TemporaryDirectory() as peft:
        write_summed_adapter(recipe.parts, Path(peft))
        gguf_export.write_gguf_adapter(Path(peft), layout, folder / "adapter.gguf", _about(recipe, SCALE_NOTE))


def _layout(recipe: _Recipe) -> GgufLayout:
    from transformers import AutoConfig

    return gguf_layout(AutoConfig.from_pretrained(provision_base(recipe.base)))


def _about(recipe: _Recipe, note: str) -> About:
    text = f"Unlearned does not mean safe. {note}" if recipe.parts else "The base, unchanged."
    return About(f"{recipe.base} {recipe.variant}", text, recipe.base)


def _card(recipe: _Recipe, form: ExportForm) -> str:
    first = recipe.parts[0][0].manifest
    trained = "\n\n".join(_training_facts(run) for run, _ in recipe.parts)
    advice = f"\nThis model is {MERGE_ADVICE}.\n" if form in ("model", "gguf") else ""
    note = f"\n{SCALE_NOTE}\n" if form == "gguf-adapter" else ""
    return f"""---
base_model: {first.base}
library_name: {_LIBRARIES[form]}
tags: [unlearning, sku]
---

# {recipe.variant}

The sign and the coefficient are part of the weights, so load it like any other model.
{note}{advice}
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
    if not METHODS[manifest.method].terms and manifest.note:
        trained = f"`{manifest.method}` ({manifest.note})"
    return f"{trained}, on:\n\n{data or '- nothing (a control)'}"
