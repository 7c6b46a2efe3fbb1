"""Background jobs: a command of this project runs in a child process and leaves everything it does in a folder.

The manager keeps no state of its own, so a job survives a reload of the page and a restart of the app. A kind of job
(`training_jobs.py`, `evaluation_jobs.py`) adds what its folder holds and which command works in it.

Methods that take an `owner` see only that visitor's jobs; None sees all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from sku.core import ownership, storage
from sku.serving import processes

JobState = Literal["starting", "running", "finished", "cancelled", "failed", "interrupted"]
"""`starting`: the process runs but has written no state yet. `interrupted`: it was killed and can be resumed."""
_SECONDS_PER_DAY = 86_400
_MAX_JOBS_PER_SECOND = 100


@dataclass(frozen=True)
class Job:
    """One job as it stands now."""

    name: str
    """Of its folder."""
    folder: Path
    state: JobState
    message: str
    """The newest line of its output, or why it failed."""

    @property
    def live(self) -> bool:
        """Whether its process is running."""
        return self.state in ("starting", "running")


MAX_NAME_CHARACTERS = 200
"""The longest name of a job. Its folder has this name, and file systems allow 255 bytes."""
AnyJob = TypeVar("AnyJob", bound=Job)


class JobManager(ABC, Generic[AnyJob]):
    """Starts, lists, cancels, resumes and deletes the jobs of one kind; one runs at a time."""

    kind: ClassVar[str]
    """What a message calls this kind of work, such as `training`."""
    noun: ClassVar[str]
    """What a message calls one job, such as `run`."""
    parent: ClassVar[str]
    """The folder under `SKU_HOME` that holds the job folders."""

    def __init__(self, *, minutes: float = 0, days: float = 0) -> None:
        """A job that an earlier app left running keeps its time limit.

        Args:
            minutes: a job that runs longer is cancelled; 0: no limit.
            days: a job that has an owner is deleted so long after its last change; 0: never.
        """
        self.minutes, self.days = minutes, days
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._timers: dict[Path, threading.Timer] = {}
        """What cancels a job in this folder when its time is up. Each is a thread, so it goes when the job ends."""
        if minutes and (live := self.live()):
            self._limit_time(live.folder)

    @abstractmethod
    def _read(self, folder: Path) -> AnyJob:
        """The job in `folder`; raises ValueError if its files are damaged."""

    @abstractmethod
    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        """The arguments of `python -m sku` for the job in `folder`; called right before its process starts."""

    @property
    def folder(self) -> Path:
        """The folder that holds the job folders."""
        return storage.home() / self.parent

    def all(self, owner: str | None = None) -> list[AnyJob]:
        """Every job, newest first. Jobs with damaged files are left out; `read` names what is wrong with one."""
        self._reap()
        found = []
        for path in sorted(self.folder.glob(f"*/{ownership.JOB}"), reverse=True):
            with suppress(ValueError):
                found.append(self.read(path.parent.name, owner))
        return found

    def live(self) -> AnyJob | None:
        """The running job, if there is one."""
        return next((job for job in self.all() if job.live), None)

    def refuse_second(self, owner: str | None = None) -> None:
        """Check that no job is running.

        Args:
            owner: the visitor who asks. Another visitor's job is not named to them.

        Raises:
            RuntimeError: if a job is running.
        """
        live = self.live()
        if live is None:
            return
        if owner not in (None, ownership.owner_of(live.folder)):
            raise RuntimeError(
                f"another visitor's {self.kind} is running, and only one runs at a time; try again when it has finished"
            )
        raise RuntimeError(f"{self.noun} {live.name} is running; one {self.kind} at a time: wait for it or cancel it")

    def read(self, name: str, owner: str | None = None) -> AnyJob:
        """One job as it stands now.

        Raises:
            ValueError: if there is none of that name, or its files are damaged.
        """
        return self._read(self._find(name, owner))

    def resume(self, name: str, owner: str | None = None) -> AnyJob:
        """Continue a job that was cancelled, interrupted, or failed.

        Raises:
            RuntimeError: if a job is running already.
            ValueError: if there is no such job, or it is finished.
        """
        with self._lock:
            self.refuse_second(owner)
            job = self.read(name, owner)
            if job.state == "finished":
                raise ValueError(f"{self.noun} {name} is finished; there is nothing to resume")
            return self._spawn(job.folder, resumed=True)

    def cancel(self, name: str, owner: str | None = None) -> None:
        """Ask a job to save what it has and stop; a job that is not running is left alone.

        Raises:
            ValueError: if there is no such job.
        """
        processes.cancel_process(self._find(name, owner))

    def cancel_live(self, owner: str | None = None) -> None:
        """Cancel the running job.

        Raises:
            ValueError: if no job is running, or it is another visitor's.
        """
        live = self.live()
        if live is None:
            raise ValueError(f"no {self.kind} is running, so there is nothing to cancel")
        if owner not in (None, ownership.owner_of(live.folder)):  # its name is not for others
            raise ValueError(f"the running {self.kind} belongs to another visitor; only they can cancel it")
        self.cancel(live.name, owner)

    def delete(self, name: str, owner: str | None = None) -> None:
        """Delete a job's folder.

        Raises:
            RuntimeError: if it is running.
            ValueError: if there is no such job.
        """
        folder = self._find(name, owner)
        try:
            live = self._read(folder).live
        except ValueError:  # damaged, so deleting it is all that can be done
            live = processes.find_process(folder) is not None
        if live:
            raise RuntimeError(f"{self.noun} {name} is running; cancel it first")
        shutil.rmtree(folder)

    def _start(self, suffix: str, files: dict[str, str], owner: str | None) -> AnyJob:
        """Start a job in a new folder.

        Args:
            suffix: ends the folder's name, behind the time.
            files: file name to text, for the command to read.
            owner: whose job it is.

        Raises:
            RuntimeError: if a job is running already.
        """
        with self._lock:
            self.refuse_second(owner)
            self._delete_old()
            folder = self._new_folder(suffix)
            for name, text in files.items():
                storage.write_atomically(folder / name, text)
            note = {"owner": owner} if owner else {}
            storage.write_atomically(folder / ownership.JOB, json.dumps(note) + "\n")
            return self._spawn(folder, resumed=False)

    def _spawn(self, folder: Path, resumed: bool) -> AnyJob:
        self._children.append(processes.spawn_process(folder, self._arguments(folder, resumed)))
        self._limit_time(folder)
        return self._read(folder)

    def _find(self, name: str, owner: str | None) -> Path:
        known = isinstance(name, str) and len(name) <= MAX_NAME_CHARACTERS  # the page passes on what was posted
        folder = ownership.owned_folder(self.folder, name, ownership.JOB, owner) if known else None
        if folder is None:
            raise ValueError(f"there is no {self.noun} called {str(name)[:80]!r}; choose one of the list")
        return folder

    def _new_folder(self, suffix: str) -> Path:
        stem = time.strftime("%Y%m%d-%H%M%S") + (f"-{suffix}" if suffix else "")
        for name in (stem, *(f"{stem}-{i}" for i in range(2, _MAX_JOBS_PER_SECOND))):
            with suppress(FileExistsError):
                (self.folder / name).mkdir(parents=True)
                return self.folder / name
        raise RuntimeError(f"{self.folder} holds {_MAX_JOBS_PER_SECOND} jobs of this second; delete some")

    def _limit_time(self, folder: Path) -> None:
        """Cancel the job in `folder` when its time is up."""
        if self.minutes:
            note = ownership.job(folder)
            left = note["created"] + self.minutes * 60 - time.time()
            timer = threading.Timer(max(0.0, left), self._cancel_if_same, [folder.name, note["pid"]])
            timer.daemon = True
            timer.start()
            if earlier := self._timers.pop(folder, None):  # it was resumed
                earlier.cancel()
            self._timers[folder] = timer

    def _cancel_if_same(self, name: str, pid: int) -> None:
        with suppress(ValueError):  # it was deleted meanwhile
            if ownership.job(self._find(name, None)).get("pid") == pid:
                self.cancel(name)

    def _delete_old(self) -> None:
        """Delete what visitors left long ago, so that strangers cannot fill the disk."""
        oldest = time.time() - self.days * _SECONDS_PER_DAY
        for note in self.folder.glob(f"*/{ownership.JOB}") if self.days else ():
            folder = note.parent
            newest = max(file.stat().st_mtime for file in folder.iterdir())
            if newest < oldest and ownership.owner_of(folder) and processes.find_process(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)

    def _reap(self) -> None:
        """Collect the exit codes of children that ended, so that they are no zombies, and stop their timers."""
        self._children = [child for child in self._children if child.poll() is None]
        for folder in list(self._timers):
            if processes.find_process(folder) is None and (timer := self._timers.pop(folder, None)):
                timer.cancel()
