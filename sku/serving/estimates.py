"""How long a training will take on this machine, and how much memory: estimated from past runs, which it names."""

from __future__ import annotations

import statistics
from typing import NamedTuple

import psutil

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Run
from sku.models.precision import BYTES_PER_PARAMETER
from sku.models.pretrained import KNOWN_BASES

_UNKNOWN_BASE_PARAMETERS = 135e6
_ACTIVATION_BYTES = 2.2e9
"""Peak memory beside the weights in a step of `_MEASURED_TOKENS` tokens with the default model."""
_MEASURED_TOKENS = 4 * 96
_MIN_LOG_LINES = 5
"""With fewer lines the log says too little: the first steps are slower."""


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


def estimate_training(config: TrainConfig) -> TrainingEstimate:
    """Time and memory for training with `config`; loading is not included in the time."""
    base = KNOWN_BASES.get(config.model)
    weights = (base.parameters if base else _UNKNOWN_BASE_PARAMETERS) * BYTES_PER_PARAMETER[config.dtype]
    memory = weights + _ACTIVATION_BYTES * max(1.0, config.batch_size * config.max_tokens / _MEASURED_TOKENS)
    seconds_per_step, source = _seconds_per_step(config)
    seconds = None if seconds_per_step is None else seconds_per_step * config.steps
    return TrainingEstimate(seconds, memory, source, psutil.virtual_memory().available)


def _seconds_per_step(config: TrainConfig) -> tuple[float | None, str]:
    """Seconds and their source: the newest run of this method here, else the shipped run of it, else none."""
    tokens = config.batch_size * config.max_tokens
    for run in (*runs.own_runs(), *runs.shipped_runs()):
        if run.manifest.method == config.method and run.manifest.base == config.model:
            measured = _measured_seconds(run)
            if measured is not None:
                past = TrainConfig.from_dict(run.manifest.config)
                source = f"the shipped run {run.name}, on two cores" if run.shipped else f"run {run.name} here"
                return measured * tokens / (past.batch_size * past.max_tokens), source
    return None, f"no run of {config.method} on {config.model} was timed yet"


def _measured_seconds(run: Run) -> float | None:
    """Of one step: the median of the log, or the mean of the run where the log is too short."""
    lines = runs.read_log(run.folder)
    if len(lines) >= _MIN_LOG_LINES:
        return statistics.median(float(line["seconds"]) for line in lines)
    about = run.manifest
    return about.seconds / about.step if about.seconds and about.step else None
