"""The training settings on the page, and what a visitor should know before starting: cost, method, uploaded data."""

from __future__ import annotations

import dataclasses
import html
import shutil
from dataclasses import dataclass
from pathlib import Path

from sku import data
from sku.core import storage
from sku.core.config import TrainConfig, find_preset
from sku.core.methods import METHODS
from sku.core.records import PairKind, digest
from sku.data.listing import page_sources
from sku.data.splits import split
from sku.serving.estimates import estimate_training
from sku.ui.train.run_status import duration

UPLOAD_LABEL = "a file of your own"
HARMFUL_SOURCES = {**page_sources("harmful"), UPLOAD_LABEL: UPLOAD_LABEL}
NORMAL_SOURCES = {**page_sources("normal"), UPLOAD_LABEL: UPLOAD_LABEL}
PRESET_NAMES = ("quick", "standard", "tiny", "opt-2.7b", "llama2-7b", "llama2-13b")
MAX_PROBE_CHARACTERS = 200
"""The longest probe prompt."""
_PROBES_PER_RUN = 6
"""How many times the probe is answered during a run."""
_PREVIEW_PAIRS = 5
"""Pairs of an uploaded file that the preview shows."""


@dataclass(frozen=True)
class TrainForm:
    """The values of the form's controls. Each field has the name of its component."""

    method: str
    size: str
    harmful: str
    normal: str
    harmful_file: str | None
    normal_file: str | None
    preservation: str
    steps: float | None
    rate: float | None
    seed: float | None
    probe: str

    def config(self, keep: bool = False) -> TrainConfig:
        """The training configuration that these values describe.

        Args:
            keep: whether to copy uploaded files to a folder that outlives the page.

        Raises:
            ValueError: if a setting is invalid or a file is missing.
        """
        if len(self.probe) > MAX_PROBE_CHARACTERS:
            raise ValueError(
                f"the probe has {len(self.probe)} characters; at most {MAX_PROBE_CHARACTERS} are allowed; shorten it"
            )
        steps = int(self.steps) if self.steps else None
        total = steps or int(find_preset(self.size).config(method=self.method).steps)
        return find_preset(self.size).config(
            method=self.method,
            harmful=(_source(self.harmful, self.harmful_file, "harmful", keep),),
            normal=(_source(self.normal, self.normal_file, "normal", keep),),
            preservation=self.preservation,
            steps=steps,
            learning_rate=float(self.rate) if self.rate else None,
            seed=int(self.seed or 0),
            probe_every=max(1, total // _PROBES_PER_RUN),
            snapshots=_snapshot_steps(total) if METHODS[self.method].unbounded else None,
            probe=self.probe.strip() or None,
        )


INITIAL_FORM = TrainForm("sku_contrast", "quick", "bundled", "self", None, None, "keep", 0, 0, 0, TrainConfig.probe)
"""The form when the page opens."""


def method_options() -> list[tuple[str, str]]:
    """The methods that can be trained, as label and name: forms of SKU, baselines, methods of the literature, and last
    the ablations and controls.
    """
    trained = [(method.label, name) for name, method in METHODS.items() if method.terms or method.closed_form]
    return sorted(trained, key=lambda option: "_no_" in option[1] or METHODS[option[1]].fidelity == "control")


def method_summary(method: str, size: str) -> str:
    """A line of Markdown: what a method minimises, the sign of its vector, and its paper."""
    record = METHODS[method]
    if record.closed_form:
        return f"Computed from the base's activations, without training steps. *{record.fidelity}*, {record.paper}"
    terms = " + ".join(f"{weight:g} {term}" for term, weight in find_preset(size).config(method=method).terms.items())
    sign = "subtracted" if record.negated else "added"
    return f"Minimises {terms}; the vector is {sign}. *{record.fidelity}*, {record.paper}"


def estimate_text(form: TrainForm) -> str:
    """The expected time and memory on this machine and the source of the estimate; or what is wrong with the form."""
    try:
        config = form.config()
    except (ValueError, OSError) as error:
        return f"<p>{html.escape(str(error))}</p>"
    estimate = estimate_training(config)
    time = "unknown time" if estimate.seconds is None else f"about {duration(estimate.seconds)}"
    warning = (
        ""
        if estimate.memory < estimate.free
        else " <b>This is more memory than is free; close other programs first.</b>"
    )
    return (
        f"<p>Estimate for this machine: {time} for {config.steps} steps (from {html.escape(estimate.source)}) and "
        f"about {estimate.memory / 1e9:.1f} GB of memory; {estimate.free / 1e9:.1f} GB are free. Loading the model "
        f"takes extra time, and so do the base's own answers if they are not stored yet.{warning}</p>"
    )


def preview_file(kind: PairKind, path: str | None) -> tuple[list[list[str]], str]:
    """The first pairs of an uploaded file, and a line that counts what is in it.

    Raises:
        ValueError: if the file is not a table of pairs. The message names the faulty row.
    """
    if not path:
        return [], ""
    loaded = data.load_pairs(path, kind)
    train = len(split(loaded.pairs, "train"))
    safe = sum(bool(pair.safe_answer) for pair in loaded.pairs)
    summary = f"{len(loaded.pairs)} {kind} pairs: {train} are used for training (split by prompt)"
    if kind == "harmful":
        summary += f", {safe} have a safe answer"
    summary += f"; {loaded.skipped} rows were skipped"
    return [[pair.prompt[:120], pair.answer[:120]] for pair in loaded.pairs[:_PREVIEW_PAIRS]], summary


def form_of_config(config: TrainConfig) -> TrainForm:
    """The form filled in with a run's settings, so that the run can be repeated with changes."""
    if not config.terms and not METHODS[config.method].closed_form:
        raise ValueError(f"a run of {METHODS[config.method].label} is not trained, so the form cannot repeat it")
    harmful, normal = config.harmful[0], config.normal[0]
    known_harmful, known_normal = harmful in HARMFUL_SOURCES.values(), normal in NORMAL_SOURCES.values()
    filled = TrainForm(
        method=config.method,
        size="quick",
        harmful=harmful if known_harmful else UPLOAD_LABEL,
        normal=normal if known_normal else UPLOAD_LABEL,
        harmful_file=None if known_harmful else harmful,
        normal_file=None if known_normal else normal,
        preservation=config.preservation,
        steps=config.steps,
        rate=config.learning_rate,
        seed=config.seed,
        probe=config.probe,
    )
    sizes = [dataclasses.replace(filled, size=name) for name in PRESET_NAMES]
    same = [form for form in sizes if form.config() == config]
    return (same or [form for form in sizes if form.config().model == config.model] or sizes)[0]


def _snapshot_steps(total: int) -> tuple[int, ...]:
    """The steps at a quarter, a half and three quarters of a run."""
    return tuple(sorted({max(1, total * i // 4) for i in (1, 2, 3)}))


def _source(chosen: str, path: str | None, kind: str, keep: bool) -> str:
    """The name of the chosen data source, or the path of the uploaded file."""
    if chosen != UPLOAD_LABEL:
        return chosen
    if not path:
        raise ValueError(
            f"no file of {kind} pairs was uploaded; upload a JSONL or CSV file with the columns prompt and answer"
        )
    return str(_stored_copy(Path(path)) if keep else path)


def _stored_copy(path: Path) -> Path:
    """A copy under `SKU_HOME`, named after its content. A resumed run finds it, and equal files are stored once."""
    name = digest(path.read_bytes().decode("utf-8", "replace")) + path.suffix.lower()
    stored = storage.uploads() / name
    if not stored.is_file():
        stored.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, stored)
    stored.touch()  # old uploads are deleted, and this one is about to be used
    return stored
