"""Trainings in the background, each a run folder under `SKU_HOME/runs`."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sku.core import runs, storage
from sku.core.combining import CombineConfig
from sku.core.config import TrainConfig
from sku.core.file_cache import read_growing_json_log, read_if_changed
from sku.core.jsonl import read_json
from sku.core.output_paths import check_output_folder
from sku.core.validation import validate
from sku.serving import processes
from sku.serving.estimates import START_SECONDS, probes
from sku.serving.jobs import Job, JobManager, JobState

_CONFIG = "config.json"
_ESTIMATE = "estimate.json"
"""The seconds that the run was expected to take."""
_COMBINATION = "combine.json"
"""Only in the folder of a combined run: what `combine` does."""
MIN_FREE_BYTES = 500_000_000
"""An adapter with its optimiser state, a checkpoint and the log, with room to spare."""
_TIMED_STEPS = 20
"""The time left is estimated from this many of the newest steps."""


@dataclass(frozen=True)
class TrainingJob(Job):
    """One training as it stands now."""

    config: TrainConfig
    lines: list[dict[str, Any]]
    """Of `log.jsonl`, one a step."""
    expected: float | None = None
    """The seconds that the page expected when it started the run; None if it did not know."""
    took: float | None = None
    """The seconds from start to end, everything counted; None while it runs, and for runs of earlier versions."""

    @property
    def step(self) -> int:
        """Steps taken."""
        return int(self.lines[-1]["step"]) if self.lines else 0

    @property
    def seconds_left(self) -> float | None:
        """From the newest steps and the probes so far; None before the first step, and when it is not running."""
        if not self.lines or not self.live:
            return None
        seconds_per_step = statistics.median(float(line["seconds"]) for line in self.lines[-_TIMED_STEPS:])
        timed = [float(line["seconds"]) for line in self.probes if "seconds" in line]
        left = probes(self.config, self.step + 1) if self.step < self.config.steps else 0
        seconds_per_probe = statistics.median(timed) if timed else 0.0
        return seconds_per_step * (self.config.steps - self.step) + seconds_per_probe * left

    @property
    def probes(self) -> list[dict[str, Any]]:
        """Of `probes.jsonl`, one a probe."""
        return read_growing_json_log(self.folder / runs.PROBES)


class TrainingJobs(JobManager[TrainingJob]):
    """The trainings that the page starts and watches."""

    kind, noun, parent = "training", "run", "runs"

    def start(self, config: TrainConfig, owner: str | None = None, expected: float | None = None) -> TrainingJob:
        """Start a training in a new run folder.

        Args:
            config: the settings.
            owner: whose run it is.
            expected: the seconds that it is expected to take, to show them against the truth.

        Raises:
            RuntimeError: if one is running already.
            OSError: if the disk is nearly full, or the folder of the runs cannot be written to.
        """
        check_room()
        files = {_CONFIG: json.dumps(config.to_dict(), indent=2) + "\n", _ESTIMATE: json.dumps(expected) + "\n"}
        return self._start(config.method, files, owner)

    def combine(self, config: CombineConfig, owner: str | None = None) -> TrainingJob:
        """Start combining runs into a new run folder. It counts as a training.

        Raises:
            RuntimeError: if a training is running already.
        """
        settings = TrainConfig(method="combined", steps=1, seed=config.seed)
        files = {_CONFIG: settings.to_dict(), _COMBINATION: dataclasses.asdict(config)}
        return self._start("combined", {name: json.dumps(one, indent=2) + "\n" for name, one in files.items()}, owner)

    def _read(self, folder: Path) -> TrainingJob:
        config, expected = _config(folder / _CONFIG), _expected(folder)
        message = processes.last_output_line(folder)
        alive, cancelled = processes.find_process(folder) is not None, processes.was_cancelled(folder)
        if not (folder / "run.json").is_file():
            state: JobState = "starting" if alive else "cancelled" if cancelled else "failed"
            return TrainingJob(folder.name, folder, state, message, config, [], expected)
        manifest = runs.read_run(folder).manifest
        state = manifest.status
        if alive and state != "finished":
            state = "running"
        elif state == "running":
            state = "cancelled" if cancelled else "interrupted"
        if state == "finished" and not config.terms:
            message = manifest.note or message
        took = None if alive else sum(manifest.spent.values()) + START_SECONDS if manifest.spent else None
        lines = runs.read_log(folder)
        return TrainingJob(folder.name, folder, state, manifest.reason or message, config, lines, expected, took)

    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        if (folder / _COMBINATION).is_file():
            return [*_combine_arguments(folder / _COMBINATION), "--out", str(folder)]
        begun = (folder / "run.json").is_file()
        source = ["--resume"] if resumed and begun else ["--config", str(folder / _CONFIG)]
        return ["train", *source, "--out", str(folder)]

    def _delete_old(self) -> None:
        """Delete old runs, and then uploaded files that no run uses any more."""
        super()._delete_old()
        used = {Path(source).name for job in self.all() for source in (*job.config.harmful, *job.config.normal)}
        oldest = time.time() - self.days * 86_400
        for file in storage.uploads().glob("*") if self.days else ():
            if file.name not in used and file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)


def _combine_arguments(path: Path) -> Iterator[str]:
    """The arguments of `combine` for the settings in a file."""
    config = validate(CombineConfig, json.loads(path.read_text(encoding="utf-8")), "settings")
    yield from ("combine", "--operation", config.operation)
    settings = {"variant": config.variants, "rank": config.rank} | config.used_settings
    for name, value in settings.items():
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            yield from (f"--{name.replace('_', '-')}", str(one))


def check_room() -> None:
    """Check that a training can write its files, before it starts.

    Raises:
        ValueError, OSError: as `check_output_folder`.
    """
    check_output_folder(storage.home(), MIN_FREE_BYTES, flag="SKU_HOME")


def _config(path: Path) -> TrainConfig:
    try:
        return read_if_changed(path, _parse_config)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete the run and train it again") from error


def _expected(folder: Path) -> float | None:
    try:
        return read_if_changed(folder / _ESTIMATE, _parse_estimate)
    except (ValueError, OSError):
        return None


def _parse_estimate(path: Path) -> float | None:
    seconds = json.loads(path.read_text(encoding="utf-8"))
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _parse_config(path: Path) -> TrainConfig:
    return TrainConfig.from_dict(read_json(path, path.name))
