"""How long a training will take on this machine, and how much memory. The time comes from past runs.

A past run may belong to another visitor, so an estimate never names it.
"""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import NamedTuple

import psutil

from sku.core import runs
from sku.core.config import TrainConfig, find_preset
from sku.core.runs import Run
from sku.data import PREFILLED, SELF, SOURCES
from sku.models.precision import BYTES_PER_PARAMETER
from sku.models.pretrained import DEFAULT_BASE, KNOWN_BASES
from sku.training.train_data import count_unwritten

_UNKNOWN_BASE_PARAMETERS = 135e6
_ACTIVATION_BYTES = 2.2e9
"""Peak memory beside the weights in a step of `_MEASURED_TOKENS` tokens with the default model."""
_MEASURED_TOKENS = 4 * 96
_MIN_LOG_LINES = 5
"""With fewer lines the log says too little: the first steps are slower."""
_MIN_ANSWERS = 8
"""With fewer answers of the base, the time for the data says too little about one answer."""
START_SECONDS = 6.0
"""From the start of the process to the first work: importing torch and transformers."""


class TrainingEstimate(NamedTuple):
    """What to expect."""

    seconds: float | None
    """None if no run like it was ever timed."""
    memory: float
    """Bytes."""
    source: str
    """What the time is taken from."""
    free: float
    """Bytes that this machine has free now."""
    answers: int = 0
    """The base's own answers that must be written first."""


@dataclass(frozen=True)
class _Pace:
    """Seconds for each part of a training."""

    step: float
    """Of a step with the batch size and length of the run that was timed."""
    loading: float = 5.0
    preparing: float = 0.0
    probe: float = 2.0
    answer: float = 0.4
    """Of one answer of the base. The defaults were measured on two cores with the default model."""

    def seconds(self, config: TrainConfig, past: TrainConfig, answers: int) -> float:
        """The whole training, if a run with the settings `past` had this pace."""
        tokens = config.batch_size * config.max_tokens / (past.batch_size * past.max_tokens)
        work = config.steps * self.step * tokens + probes(config) * self.probe + answers * self.answer
        return START_SECONDS + self.loading + self.preparing + work


_FIRST_PACE = {"sku_directions": _Pace(step=5.3, preparing=30.0)}
"""For a method without a shipped run: its preset `quick` on two free cores with the default model, from the processor
time of one thread and the 1.6 that a second core gains."""


def estimate_training(config: TrainConfig) -> TrainingEstimate:
    """Time and memory for training with `config`, with loading, the base's own answers and the probes.

    Raises:
        ValueError, OSError: if the data cannot be read.
    """
    base = KNOWN_BASES.get(config.model)
    weights = (base.parameters if base else _UNKNOWN_BASE_PARAMETERS) * BYTES_PER_PARAMETER[config.dtype]
    memory = weights + _ACTIVATION_BYTES * max(1.0, config.batch_size * config.max_tokens / _MEASURED_TOKENS)
    answers = _count_answers(config)
    seconds, source = _seconds(config, answers)
    return TrainingEstimate(seconds, memory, source, psutil.virtual_memory().available, answers)


def probes(config: TrainConfig, first: int = 0) -> int:
    """How many probes a run makes from step `first` on, the one at `first` included if it is due."""
    if not config.probe_every:
        return 0
    due = {step for step in range(first, config.steps + 1) if step % config.probe_every == 0}
    return len(due | {config.steps})


def _count_answers(config: TrainConfig) -> int:
    """The answers that the base must write. Those to prompts of the hub are not counted: nothing is downloaded here."""
    harmful, normal = (tuple(filter(_is_here, specs)) for specs in (config.harmful, config.normal))
    known = (run.manifest for run in (*runs.own_runs(), *runs.shipped_runs()))
    found = (one.base_fingerprint for one in known if one.base == config.model and one.base_fingerprint)
    fingerprint = next(found, "")  # a run that has just begun does not know it yet
    return count_unwritten(dataclasses.replace(config, harmful=harmful, normal=normal), fingerprint)


def _is_here(spec: str) -> bool:
    """Whether the prompts of a source come with the project or from a file."""
    source = spec.removeprefix(f"{SELF}:").removeprefix(f"{PREFILLED}:")
    name, _, file = source.partition(":")
    return bool(file) or name not in SOURCES or SOURCES[name].needs_file == "forbidden"


def _seconds(config: TrainConfig, answers: int) -> tuple[float | None, str]:
    """Seconds and their source: the newest run of this method here, else the shipped run of it, else none."""
    for run in (*runs.own_runs(), *runs.shipped_runs()):
        if run.manifest.method == config.method and run.manifest.base == config.model:
            pace = _measured_pace(run)
            if pace is not None:
                how = "the shipped run of this method took on two cores" if run.shipped else "the last run took here"
                return pace.seconds(config, TrainConfig.from_dict(run.manifest.config), answers), f"as {how}"
    if config.model == DEFAULT_BASE and (first := _FIRST_PACE.get(config.method)):
        past = find_preset("quick").config(method=config.method)
        return first.seconds(config, past, answers), "as on two free cores; no run of this method was timed here yet"
    return None, f"no run of {config.method} on {config.model} was timed yet"


def _measured_pace(run: Run) -> _Pace | None:
    """The pace of a run; parts that it did not time are those of the default model. None if it timed no step."""
    step, spent = _seconds_per_step(run), run.manifest.spent
    if step is None:
        return None
    if not spent:
        return _Pace(step)
    config, written = TrainConfig.from_dict(run.manifest.config), run.manifest.answers_written
    probe = spent.get("probes", 0.0) / probes(config) if config.probe_every and run.manifest.status == "finished" else 0
    return _Pace(
        step,
        loading=spent.get("loading", 0.0),
        preparing=spent.get("preparing", 0.0),
        probe=probe or _Pace.probe,
        answer=spent.get("answers", 0.0) / written if written >= _MIN_ANSWERS else _Pace.answer,
    )


def _seconds_per_step(run: Run) -> float | None:
    """The median of the log, or the mean of the run where the log is too short."""
    lines = runs.read_log(run.folder)
    if len(lines) >= _MIN_LOG_LINES:
        return statistics.median(float(line["seconds"]) for line in lines)
    about = run.manifest
    return about.seconds / about.step if about.seconds and about.step else None
