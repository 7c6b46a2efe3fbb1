"""How long a training will take here, and how much memory: from runs that took place, and it says from which."""

from __future__ import annotations

import statistics
from typing import NamedTuple

import psutil

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Run
from sku.models.pretrained import KNOWN_BASES

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_ACTIVATIONS = 2.2e9
"""Bytes beside the weights that a step of four short pairs of the default model took at most."""


class TrainingEstimate(NamedTuple):
    """What to expect."""

    seconds: float | None
    """None: nothing like it was ever timed."""
    memory: float
    """Bytes."""
    source: str
    """What the time is taken from."""
    free: float
    """Bytes that this machine has free now."""


def estimate_training(config: TrainConfig) -> TrainingEstimate:
    """Time of the steps and memory for `config` on this machine."""
    base = KNOWN_BASES.get(config.model)
    weights = (base.parameters if base else 135e6) * _BYTES[config.dtype]
    memory = weights + _ACTIVATIONS * max(1.0, config.batch_size * config.max_tokens / (4 * 96))
    a_step, source = _a_step(config)
    seconds = None if a_step is None else a_step * config.steps
    return TrainingEstimate(seconds, memory, source, psutil.virtual_memory().available)


def _a_step(config: TrainConfig) -> tuple[float | None, str]:
    """Seconds, and where they come from: a run of this method here, else the shipped run of it, else none."""
    size = config.batch_size * config.max_tokens
    for found in (runs.own_runs(), runs.shipped_runs()):
        for run in found:
            if run.manifest.method == config.method and run.manifest.base == config.model:
                taken = _seconds(run)
                if taken is not None:
                    theirs = TrainConfig.from_dict(run.manifest.config)
                    share = size / (theirs.batch_size * theirs.max_tokens)
                    told = f"the shipped run {run.name}, on two cores" if run.shipped else f"run {run.name} here"
                    return taken * share, told
    return None, f"no run of {config.method} on {config.model} was timed yet"


def _seconds(run: Run) -> float | None:
    """Of one step: the median of the log where there is one, as the first steps are slower."""
    lines = runs.read_log(run.folder)
    if len(lines) >= 5:
        return statistics.median(float(line["seconds"]) for line in lines)
    about = run.manifest
    return about.seconds / about.step if about.seconds and about.step else None
