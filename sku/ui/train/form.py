"""The training settings on the page, and what a visitor should know before starting: cost, method, uploaded data."""

from __future__ import annotations

import dataclasses
import html
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sku.core import storage
from sku.core.config import TrainConfig, find_preset
from sku.core.methods import METHODS
from sku.core.records import PairKind, digest
from sku.data import split_columns
from sku.data.custom import parse_columns
from sku.data.listing import page_sources
from sku.serving.estimates import estimate_training
from sku.ui.train.method_labels import FIRST_METHOD, method_label
from sku.ui.train.own_file import file_columns
from sku.ui.train.run_status import duration

UPLOAD_LABEL = "a file of your own"
PRESET_DATA = "preset"
"""Stands for the sources that the preset names."""
_OF_PRESET = {"bundled, as the preset says": PRESET_DATA}
HARMFUL_SOURCES = {**_OF_PRESET, **page_sources("harmful"), UPLOAD_LABEL: UPLOAD_LABEL}
NORMAL_SOURCES = {**_OF_PRESET, **page_sources("normal"), UPLOAD_LABEL: UPLOAD_LABEL}
PRESET_NAMES = ("quick", "standard", "tiny", "opt-2.7b", "llama2-7b", "llama2-13b")
"""In the order in which the page shows them."""
MAX_PROBE_CHARACTERS = 200
"""The longest probe prompt."""
_PROBES_PER_RUN = 4
"""How many times the probe is answered during a run."""


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
    base: str = TrainConfig.model
    """The base that the page has loaded, which is what is trained."""
    harmful_prompt: str | None = None
    """The column of the prompts in the file of harmful pairs. None: found by its name, as in the next three."""
    harmful_answer: str | None = None
    normal_prompt: str | None = None
    normal_answer: str | None = None
    all_rows: bool = False
    """Whether every row of the own files is trained on, and none is kept for measuring."""

    @property
    def own_files(self) -> dict[PairKind, tuple[str | None, str | None, str | None]]:
        """File, column of prompts and column of answers of each kind of pairs that comes from an own file."""
        files: dict[PairKind, tuple[str | None, str | None, str | None]] = {}
        if self.harmful == UPLOAD_LABEL:
            files["harmful"] = (self.harmful_file, self.harmful_prompt, self.harmful_answer)
        if self.normal == UPLOAD_LABEL:
            files["normal"] = (self.normal_file, self.normal_prompt, self.normal_answer)
        return files

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
        config = find_preset(self.size).config(
            model=None if "model" in find_preset(self.size).settings else self.base,
            method=self.method,
            harmful=self._sources("harmful", self.harmful, keep),
            normal=self._sources("normal", self.normal, keep),
            hold_out=not (self.all_rows and self.own_files),
            preservation=self.preservation,
            steps=steps,
            learning_rate=float(self.rate) if self.rate else None,
            seed=int(self.seed or 0),
            probe_every=max(1, total // _PROBES_PER_RUN),
            snapshots=_snapshot_steps(total) if METHODS[self.method].unbounded else None,
            probe=self.probe.strip() or None,
        )
        if "normal" in self.own_files:  # a limit of the preset is not for a visitor's own file
            config = dataclasses.replace(config, normal_limit=None)
        return config

    def _sources(self, kind: PairKind, chosen: str, keep: bool) -> tuple[str, ...] | None:
        """The chosen data source, or the path of the uploaded file with its columns; None for those of the preset."""
        if chosen == PRESET_DATA:
            return None
        if kind not in self.own_files:
            return (chosen,)
        path, prompt, answer = self.own_files[kind]
        if not path:
            raise ValueError(f"no file of {kind} pairs was uploaded; upload a JSONL, CSV or JSON file with two columns")
        stored = str(_stored_copy(Path(path)) if keep else path)
        return (stored if prompt is None else file_columns(kind, path, prompt, answer).spec(stored, kind),)


INITIAL_FORM = TrainForm(
    FIRST_METHOD, "quick", PRESET_DATA, PRESET_DATA, None, None, "keep", 0, 0, 0, TrainConfig.probe
)
"""The form when the page opens."""


def method_options() -> list[tuple[str, str]]:
    """The methods that can be trained, as label and name: ours, other forms of SKU, baselines, methods of the
    literature, and last the ablations and controls.
    """
    trained = [(method_label(name), name) for name, method in METHODS.items() if method.terms or method.closed_form]
    last = [name for name, method in METHODS.items() if "_no_" in name or method.fidelity == "control"]
    return sorted(trained, key=lambda option: (option[1] in last, option[1] != FIRST_METHOD))


def offered_presets(base: str) -> list[str]:
    """The presets that train the base that the page has loaded. A preset for another base is not offered."""
    return [name for name in PRESET_NAMES if find_preset(name).settings.get("model", base) == base]


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
        estimate = estimate_training(config)
    except (ValueError, OSError) as error:
        return f"<p class='fault'>{html.escape(str(error))}</p>"
    time = "time unknown" if estimate.seconds is None else f"about {duration(estimate.seconds)}"
    counted = (
        f"everything counted, {html.escape(estimate.source)}" if estimate.seconds else html.escape(estimate.source)
    )
    answers = f"the base first writes {estimate.answers} answers; " if estimate.answers else ""
    memory = f"{estimate.memory / 1e9:.1f} GB of memory, {estimate.free / 1e9:.1f} GB free"
    warning = "" if estimate.memory < estimate.free else " <b>More memory than is free: close other programs first.</b>"
    return (
        f"<p><b>{time}</b> for {config.steps} steps on {html.escape(config.model)}, {counted}; {answers}{memory}."
        f"{warning}</p>"
    )


def form_of_config(config: TrainConfig) -> TrainForm:
    """The form filled in with a run's settings, so that the run can be repeated with changes."""
    if not config.terms and not METHODS[config.method].closed_form:
        raise ValueError(f"a run of {METHODS[config.method].label} is not trained, so the form cannot repeat it")
    filled = TrainForm(
        method=config.method,
        size="quick",
        harmful=_shown_source(config.harmful, HARMFUL_SOURCES.values()),
        normal=_shown_source(config.normal, NORMAL_SOURCES.values()),
        harmful_file=_own_file(config.harmful, HARMFUL_SOURCES.values()),
        normal_file=_own_file(config.normal, NORMAL_SOURCES.values()),
        preservation=config.preservation,
        steps=config.steps,
        rate=config.learning_rate,
        seed=config.seed,
        probe=config.probe,
        base=config.model,
        all_rows=not config.hold_out,
        **_named_columns("harmful", config.harmful[0]),
        **_named_columns("normal", config.normal[0]),
    )
    sizes = [dataclasses.replace(filled, size=name) for name in PRESET_NAMES]
    same = [form for form in sizes if form.config() == config]
    return (same or [form for form in sizes if form.config().model == config.model] or sizes)[0]


def _shown_source(sources: Sequence[str], known: Collection[str]) -> str:
    """What the list shows for the sources of a run."""
    if len(sources) > 1:
        return PRESET_DATA
    return sources[0] if sources[0] in known else UPLOAD_LABEL


def _own_file(sources: Sequence[str], known: Collection[str]) -> str | None:
    return split_columns(sources[0])[0] if _shown_source(sources, known) == UPLOAD_LABEL else None


def _named_columns(kind: PairKind, source: str) -> dict[str, str | None]:
    """The fields of the form for the columns that a source names."""
    named = parse_columns(split_columns(source)[1])
    return {f"{kind}_{field}": named.get(field) for field in ("prompt", "answer")} if named else {}


def _snapshot_steps(total: int) -> tuple[int, ...]:
    """The steps at a quarter, a half and three quarters of a run."""
    return tuple(sorted({max(1, total * i // 4) for i in (1, 2, 3)}))


def _stored_copy(path: Path) -> Path:
    """A copy under `SKU_HOME`, named after its content. A resumed run finds it, and equal files are stored once."""
    name = digest(path.read_bytes().decode("utf-8", "replace")) + path.suffix.lower()
    stored = storage.uploads() / name
    if not stored.is_file():
        stored.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, stored)
    stored.touch()  # old uploads are deleted, and this one is about to be used
    return stored
