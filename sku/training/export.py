"""Export a variant as files that load without this project.

A form is an adapter (PEFT, or GGUF for llama.cpp) or a merged model (transformers checkpoint, or GGUF). The sign and
the coefficient become part of the exported weights.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sku.core import runs
from sku.core.methods import METHODS
from sku.core.output_paths import check_output_folder
from sku.core.peft_folders import is_hub_id
from sku.core.runs import Run
from sku.core.variants import BASE, Variant, parse_variant, resolve_variant
from sku.models.adapter_check import read_plain_lora, read_settings
from sku.models.checkpoint_files import load_model_config, load_network, load_tokenizer
from sku.models.gguf_layout import GgufLayout, gguf_layout
from sku.models.pretrained import BASE_WHEEL, DEFAULT_BASE, hub_id_of, provision_base, provision_base_gguf
from sku.models.variant_model import fingerprint
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
GATE_ADVICE = "the exported weights apply the full coefficient to every prompt"
SCALE_NOTE = "llama.cpp's scale 1 is this variant. A scale s multiplies its coefficient by s, and 0 is the base."


@dataclass(frozen=True)
class _Recipe:
    """What a variant is made of."""

    variant: Variant
    parts: list[tuple[Run, float]]
    """The runs with their signed coefficients, including those with coefficient 0. Empty for the base."""
    base: str
    """The name, hub id or folder of the base."""

    @property
    def hub_id(self) -> str | None:
        """The base's id on the hub; None if all that is known of it is a folder of this machine."""
        names = [run.manifest.base for run, _ in self.parts[:1]] + [self.base]
        return next((found for name in names if (found := hub_id_of(name))), None)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the base on which the adapters were trained; empty if none of them says so."""
        return next((run.manifest.base_fingerprint for run, _ in self.parts if run.manifest.base_fingerprint), "")

    @property
    def public_base(self) -> str:
        """What files that leave this machine call the base: never a folder."""
        return self.hub_id or (f"base {self.fingerprint}" if self.fingerprint else "unknown base")

    @property
    def public_variant(self) -> str:
        """What files that leave this machine call the variant: runs without their folder."""
        parts = parse_variant(str(self.variant)).parts
        short = [part if is_hub_id(part.name) else replace(part, name=Path(part.name).name) for part in parts]
        return "+".join(map(str, short))

    @property
    def named_parts(self) -> list[tuple[Run, float]]:
        """The parts, whose runs name the base by its hub id if there is one."""
        named = self.hub_id
        return [
            (replace(run, manifest=replace(run.manifest, base=named or run.manifest.base)), signed)
            for run, signed in self.parts
        ]


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
    check_output_folder(out)
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a new folder")
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    if variant.name == BASE and form in ("adapter", "gguf-adapter"):
        raise ValueError("base has no adapter to export; name another variant, or use --as model or --as gguf")
    parts = signed_runs(variant)
    for run, _ in parts:
        read_settings(run.adapter)  # what is not plain LoRA would change the base when it is merged
    recipe = _Recipe(variant, parts, model or (parts[0][0].manifest.base if parts else DEFAULT_BASE))
    if not recipe.base and form != "adapter":
        raise ValueError(f"adapter {parts[0][0].name} does not say what its base is; name it with --model")
    with _new_folder(out) as folder:
        if form == "adapter":
            write_summed_adapter(recipe.named_parts, folder)
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


def gate_advice(text: str) -> str | None:
    """One line about a gate that the export of a variant loses; None if it has none."""
    variant = resolve_variant(text, lambda name: runs.find_run(name).known)
    gated = [run.name for run, coefficient in signed_runs(variant) if run.gated and coefficient]
    return f"the gate of {', '.join(gated)} is lost: {GATE_ADVICE}" if gated else None


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
        ValueError: if an adapter does not fit this base.
    """
    network = load_network(provision_base(recipe.base))
    base = fingerprint(network)
    for run, _ in recipe.parts:
        read_plain_lora(run.adapter, network, base)
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
    network = _load_base(recipe)
    check_output_folder(folder, sum(weight.nbytes for weight in network.state_dict().values()))
    _merge(network, recipe).save_pretrained(folder)
    load_tokenizer(provision_base(recipe.base)).save_pretrained(folder)


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
    return gguf_layout(load_model_config(provision_base(recipe.base)))


def _about(recipe: _Recipe, note: str) -> About:
    text = f"Unlearned does not mean safe. {note}" if recipe.parts else "The base, unchanged."
    return About(f"{recipe.public_base} {recipe.public_variant}", text, recipe.public_base)


def _card(recipe: _Recipe, form: ExportForm) -> str:
    trained = "\n\n".join(_training_facts(run) for run, _ in recipe.parts)
    advice = f"\nThis model is {MERGE_ADVICE}.\n" if form in ("model", "gguf") else ""
    note = f"\n{SCALE_NOTE}\n" if form == "gguf-adapter" else ""
    if any(run.gated for run, _ in recipe.parts):
        note += f"\nThis variant has a gate, which this export lost: {GATE_ADVICE}.\n"
    base_line = f"base_model: {recipe.hub_id}\n" if recipe.hub_id else ""
    return f"""---
{base_line}library_name: {_LIBRARIES[form]}
tags: [unlearning, sku]
---

# {recipe.public_variant}

The sign and the coefficient are part of the weights, so load it like any other model.
{note}{advice}
{_base_text(recipe)}

{trained}

Unlearned does not mean safe: measure the model before you rely on it.
"""


def _base_text(recipe: _Recipe) -> str:
    """Sentences about the base."""
    fingerprint = f" (fingerprint {recipe.fingerprint})" if recipe.fingerprint else ""
    if recipe.hub_id is None:
        return f"The base has no name outside the machine of the training{fingerprint}; load the adapter on that base."
    rounded = (
        f" The training used its 4-bit form in the Python package {BASE_WHEEL.requirement}, as float32."
        if recipe.hub_id == hub_id_of(DEFAULT_BASE)
        else ""
    )
    return f"The base is `{recipe.hub_id}`{fingerprint}.{rounded}"


def _training_facts(run: Run) -> str:
    manifest = run.manifest
    sources = [source for kind in manifest.data.values() for source in kind]
    steps = manifest.step or manifest.steps  # a snapshot took fewer steps than its run
    data = "\n".join(f"- {s['name']}: {s['pairs']} pairs, licence {s['licence'] or 'not stated'}" for s in sources)
    if run.foreign:
        return f"The adapter `{run.hub_id or run.folder.name}` was not trained with sku."
    trained = f"`{manifest.method}`, trained for {steps} steps with seed {manifest.seed}"
    if not METHODS[manifest.method].terms and manifest.note:
        trained = f"`{manifest.method}` ({manifest.note})"
    return f"{trained}, on:\n\n{data or '- nothing (a control)'}"
