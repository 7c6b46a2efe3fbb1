"""Start, watch, cancel, resume and delete trainings, each a child process. Owns nothing but run folders under
`SKU_HOME`, so it survives a reload of the page and a restart of the app: what it knows, it reads from there.

Where a method takes an `owner`, only runs that were started by them are there; None sees all.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sku.core import ownership, runs, storage
from sku.core.config import TrainConfig
from sku.serving import processes

TrainingState = Literal["starting", "running", "finished", "cancelled", "failed", "interrupted"]
"""As in `run.json`, and: `starting` has not written one yet, `interrupted` was killed and can be resumed."""


@dataclass(frozen=True)
class TrainingJob:
    """What a page shows of one training."""

    name: str
    folder: Path
    state: TrainingState
    config: TrainConfig
    lines: list[dict[str, Any]]
    """Of `log.jsonl`."""
    doing: str
    """What it says it is doing, or why it failed."""

    @property
    def step(self) -> int:
        """Steps taken."""
        return int(self.lines[-1]["step"]) if self.lines else 0

    @property
    def live(self) -> bool:
        """Whether its process is at work."""
        return self.state in ("starting", "running")

    @property
    def seconds_left(self) -> float | None:
        """From the median of the last steps; None before there is one."""
        if not self.lines or not self.live:
            return None
        a_step = statistics.median(float(line["seconds"]) for line in self.lines[-20:])
        return a_step * (self.config.steps - self.step)


class TrainingJobs:
    """The trainings under `SKU_HOME/runs`; one at a time."""

    def __init__(self, minutes: float = 0, days: float = 0) -> None:
        """Those that an earlier app left at work keep their time.

        Args:
            minutes: the longest that a training may take before it is cancelled; 0: as long as it likes.
            days: how long a run that has an owner is kept after its last step; 0: for ever.
        """
        self.minutes, self.days = minutes, days
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        live = self.live()
        if live:
            self._time(live.folder)

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return storage.home() / "runs"

    def all(self, owner: str | None = None) -> list[TrainingJob]:
        """Every training, newest first, but for those with damaged files: `read` names their fault."""
        self._reap()
        found = []
        for path in sorted(self.folder.glob("*/job.json"), reverse=True):
            with suppress(ValueError):
                found.append(self.read(path.parent.name, owner))
        return found

    def live(self) -> TrainingJob | None:
        """The one at work, if any."""
        return next((job for job in self.all() if job.live), None)

    def refuse_second(self) -> None:
        """Raises RuntimeError if a training is at work."""
        live = self.live()
        if live:
            raise RuntimeError(f"run {live.name} is at work; one training at a time: wait for it or cancel it")

    def start(self, config: TrainConfig, owner: str | None = None) -> TrainingJob:
        """Begin a training in a new run folder.

        Raises:
            RuntimeError: if one is at work already.
        """
        with self._lock:
            self.refuse_second()
            self._forget()
            folder = self._new_folder(config.method)
            storage.write_atomically(folder / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")
            if owner:
                storage.write_atomically(folder / "job.json", json.dumps({"owner": owner}) + "\n")
            self._spawn(folder, ["--config", str(folder / "config.json"), "--out", str(folder)])
            return self.read(folder.name)

    def resume(self, name: str, owner: str | None = None) -> TrainingJob:
        """Continue a cancelled, interrupted or failed training from its newest checkpoint.

        Raises:
            RuntimeError: if one is at work already.
            ValueError: if there is no such training, or it is finished.
        """
        with self._lock:
            self.refuse_second()
            job = self.read(name, owner)
            if job.state == "finished":
                raise ValueError(f"run {name} is finished; there is nothing to resume")
            begun = (job.folder / "run.json").is_file()
            source = ["--resume"] if begun else ["--config", str(job.folder / "config.json")]
            self._spawn(job.folder, [*source, "--out", str(job.folder)])
            return self.read(name)

    def cancel(self, name: str, owner: str | None = None) -> None:
        """Ask a training to write a checkpoint and stop; nothing happens to one that is not at work."""
        processes.cancel_process(self._path(name, owner))

    def delete(self, name: str, owner: str | None = None) -> None:
        """Remove a run folder.

        Raises:
            RuntimeError: if it is at work.
            ValueError: if there is no such training.
        """
        folder = self._path(name, owner)
        try:
            live = self.read(name).live
        except ValueError:  # damaged, and so good for nothing but to be deleted
            live = processes.find_process(folder) is not None
        if live:
            raise RuntimeError(f"run {name} is at work; cancel it first")
        shutil.rmtree(folder)

    def read(self, name: str, owner: str | None = None) -> TrainingJob:
        """One training as it stands.

        Raises:
            ValueError: if there is none of that name, or its files are damaged.
        """
        folder = self._path(name, owner)
        config = _settings(folder / "config.json")
        alive = processes.find_process(folder) is not None
        cancelled = bool(ownership.job(folder).get("cancelled"))
        said = processes.last_output_line(folder)
        if not (folder / "run.json").is_file():
            state: TrainingState = "starting" if alive else "cancelled" if cancelled else "failed"
            return TrainingJob(name, folder, state, config, [], said)
        manifest = runs.read_run(folder).manifest
        state = manifest.status
        if alive and state != "finished":
            state = "running"
        elif state == "running":
            state = "cancelled" if cancelled else "interrupted"
        return TrainingJob(name, folder, state, config, runs.read_log(folder), manifest.reason or said)

    def _path(self, name: str, owner: str | None) -> Path:
        folder = ownership.owned_folder(self.folder, name, "job.json", owner)
        if folder is None:
            raise ValueError(f"there is no run called {name[:80]!r}; choose one of the list")
        return folder

    def _new_folder(self, method: str) -> Path:
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{method}"
        for name in (stem, *(f"{stem}-{i}" for i in range(2, 100))):
            try:
                (self.folder / name).mkdir(parents=True)
                return self.folder / name
            except FileExistsError:
                continue
        raise RuntimeError(f"{self.folder} has a hundred runs of this second; delete some")

    def _spawn(self, folder: Path, arguments: list[str]) -> None:
        child = processes.spawn_process(folder, ["train", *arguments])
        self._children.append(child)
        self._time(folder)

    def _time(self, folder: Path) -> None:
        """Let the training in `folder` end when its time is up."""
        if self.minutes:
            about = ownership.job(folder)
            left = about["created"] + self.minutes * 60 - time.time()
            stop = threading.Timer(max(0.0, left), self._end, [folder.name, about["pid"]])
            stop.daemon = True
            stop.start()

    def _forget(self) -> None:
        """Delete what visitors left long ago, and uploads that no run is of any more."""
        processes.delete_old_folders(self.folder, self.days)
        used = {Path(source).name for job in self.all() for source in (*job.config.harmful, *job.config.normal)}
        for file in storage.uploads().glob("*") if self.days else []:
            if file.name not in used and file.stat().st_mtime < time.time() - self.days * 86_400:
                file.unlink(missing_ok=True)

    def _end(self, name: str, pid: int) -> None:
        """Cancel the training if it is still that process: its time is up."""
        with suppress(ValueError):
            if ownership.job(self._path(name, None)).get("pid") == pid:
                self.cancel(name)

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def _settings(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete the run and train it again") from error
