"""The settings of a training as the page asks for them, and what one should know before it starts."""

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
"""Characters."""
_PROBES = 6
"""Looks along a run."""
_SHOWN = 5


@dataclass(frozen=True)
class TrainForm:
    """The values of the page's controls, each named as its component."""

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
        """The training that is asked for.

        Args:
            keep: copy uploaded files to where they outlive the page.

        Raises:
            ValueError: for settings that make no sense, or a file that is missing.
        """
        if len(self.probe) > MAX_PROBE_CHARACTERS:
            raise ValueError(
                f"the probe has {len(self.probe)} characters; at most {MAX_PROBE_CHARACTERS} are allowed: shorten it"
            )
        steps = int(self.steps) if self.steps else None
        total = steps or int(find_preset(self.size).config().steps)
        return find_preset(self.size).config(
            method=self.method,
            harmful=(_source(self.harmful, self.harmful_file, "harmful", keep),),
            normal=(_source(self.normal, self.normal_file, "normal", keep),),
            preservation=self.preservation,
            steps=steps,
            learning_rate=float(self.rate) if self.rate else None,
            seed=int(self.seed or 0),
            probe_every=max(1, total // _PROBES),
            snapshots=tuple(sorted({max(1, total * i // 4) for i in (1, 2, 3)}))
            if METHODS[self.method].unbounded
            else None,
            probe=self.probe.strip() or None,
        )


INITIAL_FORM = TrainForm("sku_contrast", "quick", "bundled", "self", None, None, "keep", 0, 0, 0, TrainConfig.probe)
"""What the page shows at first."""


def method_summary(method: str, size: str) -> str:
    """What a method minimises, as Markdown."""
    found = METHODS[method]
    terms = " + ".join(f"{weight:g} {term}" for term, weight in find_preset(size).config(method=method).terms.items())
    return f"{terms}; the vector is {'subtracted' if found.negated else 'added'}. *{found.fidelity}*, {found.paper}"


def estimate_text(form: TrainForm) -> str:
    """Time and memory to expect here, and where the figures come from; or what is wrong with the settings."""
    try:
        config = form.config()
    except (ValueError, OSError) as error:
        return f"<p>{html.escape(str(error))}</p>"
    found = estimate_training(config)
    how_long = "unknown" if found.seconds is None else f"about {duration(found.seconds)}"
    short = "" if found.memory < found.free else " <b>That is more than is free: close something first.</b>"
    return (
        f"<p>Estimate for this machine: {how_long} for {config.steps} steps (from {html.escape(found.source)}), about "
        f"{found.memory / 1e9:.1f} GB of memory, {found.free / 1e9:.1f} GB are free. Loading, and the base's own "
        f"answers where they are new, come on top.{short}</p>"
    )


def preview_file(kind: PairKind, path: str | None) -> tuple[list[list[str]], str]:
    """The first pairs of an uploaded file, and what is in it.

    Raises:
        ValueError: for a file that is no such table, with the row.
    """
    if not path:
        return [], ""
    found = data.load_pairs(path, kind)
    train = len(split(found.pairs, "train"))
    safe = sum(bool(pair.safe_answer) for pair in found.pairs)
    said = f"{len(found.pairs)} {kind} pairs, {train} of them for training (split by prompt), {found.skipped} left out"
    if kind == "harmful":
        said += f", {safe} with a safe answer"
    return [[pair.prompt[:120], pair.answer[:120]] for pair in found.pairs[:_SHOWN]], said


def form_of_config(config: TrainConfig) -> TrainForm:
    """The form filled with what a run used, to start again with changes."""
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


def _source(chosen: str, path: str | None, kind: str, keep: bool) -> str:
    if chosen != UPLOAD_LABEL:
        return chosen
    if not path:
        raise ValueError(f"no file of {kind} pairs was given; upload a JSONL or CSV with columns prompt and answer")
    return str(_kept(Path(path)) if keep else path)


def _kept(path: Path) -> Path:
    """A copy under `SKU_HOME`, named by its content: a resumed run finds it, and the same file is kept once."""
    name = digest(path.read_bytes().decode("utf-8", "replace")) + path.suffix.lower()
    kept = storage.uploads() / name
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
    kept.touch()  # what is about to be used is not forgotten
    return kept


def _quarters(steps: int) -> tuple[int, ...]:
    """The steps after a quarter, a half and three quarters of a run."""
    return tuple(sorted({max(1, steps * i // 4) for i in (1, 2, 3)}))
