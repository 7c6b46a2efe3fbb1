"""Start, watch, cancel, resume and delete trainings, each a child process. Owns nothing but run folders under
`SKU_HOME`, so it survives a reload of the page and a restart of the app: what it knows, it reads from there.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from sku import runs
from sku.config import TrainConfig

State = Literal["starting", "running", "finished", "cancelled", "failed", "interrupted"]
"""As in `run.json`, and: `starting` has not written one yet, `interrupted` was killed and can be resumed."""


@dataclass(frozen=True)
class Job:
    """What a page shows of one training."""

    name: str
    folder: Path
    state: State
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


class Jobs:
    """The trainings under `SKU_HOME/runs`; one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return runs.home() / "runs"

    def all(self) -> list[Job]:
        """Every training, newest first, but for those with damaged files: `read` names their fault."""
        self._reap()
        found = []
        for path in sorted(self.folder.glob("*/job.json"), reverse=True):
            with suppress(ValueError):
                found.append(self.read(path.parent.name))
        return found

    def live(self) -> Job | None:
        """The one at work, if any."""
        return next((job for job in self.all() if job.live), None)

    def start(self, config: TrainConfig) -> Job:
        """Begin a training in a new run folder.

        Raises:
            RuntimeError: if one is at work already.
        """
        with self._lock:
            self._refuse_second()
            folder = self._new_folder(config.method)
            runs.write_text(folder / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")
            self._spawn(folder, ["--config", str(folder / "config.json"), "--out", str(folder)])
            return self.read(folder.name)

    def resume(self, name: str) -> Job:
        """Continue a cancelled, interrupted or failed training from its newest checkpoint.

        Raises:
            RuntimeError: if one is at work already.
            ValueError: if there is no such training, or it is finished.
        """
        with self._lock:
            self._refuse_second()
            job = self.read(name)
            if job.state == "finished":
                raise ValueError(f"run {name} is finished; there is nothing to resume")
            begun = (job.folder / "run.json").is_file()
            source = ["--resume"] if begun else ["--config", str(job.folder / "config.json")]
            self._spawn(job.folder, [*source, "--out", str(job.folder)])
            return self.read(name)

    def cancel(self, name: str) -> None:
        """Ask a training to write a checkpoint and stop; nothing happens to one that is not at work."""
        folder = self._path(name)
        process = _process(folder)
        if process is not None:  # marked first: one that has only begun dies of the signal and says nothing itself
            runs.write_text(folder / "job.json", json.dumps({**_about(folder), "cancelled": True}) + "\n")
            process.terminate()

    def delete(self, name: str) -> None:
        """Remove a run folder.

        Raises:
            RuntimeError: if it is at work.
            ValueError: if there is no such training.
        """
        folder = self._path(name)
        try:
            live = self.read(name).live
        except ValueError:  # damaged, and so good for nothing but to be deleted
            live = _process(folder) is not None
        if live:
            raise RuntimeError(f"run {name} is at work; cancel it first")
        shutil.rmtree(folder)

    def read(self, name: str) -> Job:
        """One training as it stands.

        Raises:
            ValueError: if there is none of that name, or its files are damaged.
        """
        folder = self._path(name)
        config = _settings(folder / "config.json")
        alive = _process(folder) is not None
        cancelled = bool(_about(folder).get("cancelled"))
        said = _last_line(folder / "output.txt")
        if not (folder / "run.json").is_file():
            state: State = "starting" if alive else "cancelled" if cancelled else "failed"
            return Job(name, folder, state, config, [], said)
        manifest = runs.read(folder).manifest
        state = manifest.status
        if alive and state != "finished":
            state = "running"
        elif state == "running":
            state = "cancelled" if cancelled else "interrupted"
        return Job(name, folder, state, config, runs.log(folder), manifest.reason or said)

    def _path(self, name: str) -> Path:
        folder = self.folder / name
        if not name or Path(name).name != name or not (folder / "job.json").is_file():
            raise ValueError(f"there is no run called {name!r}; choose one of the list")
        return folder

    def _refuse_second(self) -> None:
        live = self.live()
        if live:
            raise RuntimeError(f"run {live.name} is at work; one training at a time: wait for it or cancel it")

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
        command = [sys.executable, "-m", "sku", "train", *arguments]
        with (folder / "output.txt").open("ab") as output:
            child = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the app's terminal leaves the training alone
            )
        self._children.append(child)
        process = psutil.Process(child.pid)
        if sys.platform != "win32":
            process.nice(10)  # the page answers first
        created = process.create_time()
        runs.write_text(folder / "job.json", json.dumps({"pid": child.pid, "created": created}) + "\n")

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def _settings(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete the run and train it again") from error


def _about(folder: Path) -> dict[str, Any]:
    """What `job.json` says of the process; nothing if it is damaged."""
    try:
        found = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _process(folder: Path) -> psutil.Process | None:
    """The training's process while it lives; a process id that went to somebody else does not count."""
    about = _about(folder)
    try:
        process = psutil.Process(about["pid"])
        mine = abs(process.create_time() - about["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, TypeError, KeyError):  # it ended, or nobody knows which it was
        return None
    return process if mine else None


def _last_line(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
