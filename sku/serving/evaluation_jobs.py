"""Evaluations that a visitor starts: each a child process, its rows beside the recorded study. One at a time.

What is done is kept: a cancelled or killed one goes on where it was. Held-out prompts of the bundled data, so that it
needs no network.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sku.core import ownership, storage
from sku.core.records import PairKind
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.pretrained import DEFAULT_BASE
from sku.serving import processes

PROMPT_LIMITS = (5, 50)
"""Prompts of each set."""
MAX_VARIANTS = 8
EVALUATION_NEW_TOKENS = 48
_ASKED: tuple[tuple[str, PairKind], ...] = (("bundled", "harmful"), ("bundled", "normal"), ("sounds_harmful", "normal"))
"""What is answered: what `python -m sku evaluate` asks without a word about data."""
_ANSWER_SECONDS = 0.8
"""Of one answer of 48 tokens with its share of the scores, measured on two cores with the default model."""
EvaluationState = Literal["running", "finished", "cancelled", "failed"]


@dataclass(frozen=True)
class EvaluationJob:
    """One evaluation as it stands."""

    name: str
    state: EvaluationState
    variants: tuple[str, ...]
    said: str
    """Progress with time left, or why it failed."""


class EvaluationCost(NamedTuple):
    """What measuring will take."""

    answers: int
    """Base included."""
    seconds: float | None
    """None: this model was never timed."""
    source: str
    """What the time is taken from."""


class EvaluationJobs:
    """The evaluations under `SKU_HOME/evaluations`."""

    def __init__(self, days: float = 0) -> None:
        """Those that have an owner are kept so many days after their last step; 0: for ever."""
        self.days = days
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def folder(self) -> Path:
        """Where they are."""
        return storage.home() / "evaluations"

    def refuse_second(self) -> None:
        """Raises RuntimeError if an evaluation is at work."""
        if self.live() is not None:
            raise RuntimeError("an evaluation is at work; one at a time: wait for it or cancel it")

    def start(
        self, variants: Sequence[str], limit: int, owner: str | None = None, model: str = DEFAULT_BASE
    ) -> EvaluationJob:
        """Begin one on base `model`; `result_files.own_rows` finds its rows.

        Raises:
            RuntimeError: if one is at work.
            ValueError: for too many variants, or a limit out of range.
        """
        if not 1 <= len(variants) <= MAX_VARIANTS:
            raise ValueError(f"{len(variants)} variants came; from 1 to {MAX_VARIANTS} are measured at once")
        if not PROMPT_LIMITS[0] <= limit <= PROMPT_LIMITS[1]:
            raise ValueError(
                f"{limit} prompts came; from {PROMPT_LIMITS[0]} to {PROMPT_LIMITS[1]} of each set are asked"
            )
        with self._lock:
            self.refuse_second()
            processes.delete_old_folders(self.folder, self.days)
            folder = self.folder / time.strftime("%Y%m%d-%H%M%S")
            folder.mkdir(parents=True)
            asked = ["base", *(one for one in variants if one != "base")]
            about = {"variants": asked, "limit": limit, "model": model, "began": time.time()}
            storage.write_atomically(folder / "evaluation.json", json.dumps(about) + "\n")
            if owner:
                storage.write_atomically(folder / "job.json", json.dumps({"owner": owner}) + "\n")
            self._spawn(folder)
            return self.read(folder)

    def resume(self, name: str, owner: str | None = None) -> None:
        """Go on with one that was cancelled or killed.

        Raises:
            RuntimeError: if one is at work.
            ValueError: if there is none of that name, or it is finished.
        """
        with self._lock:
            self.refuse_second()
            found = self.find(name, owner)
            if self.read(found).state == "finished":
                raise ValueError(f"evaluation {name} is finished; its rows are in the table")
            about = {**_about(found), "began": None}  # its time now says nothing of the whole
            storage.write_atomically(found / "evaluation.json", json.dumps(about) + "\n")
            self._spawn(found)

    def cancel(self, owner: str | None = None) -> None:
        """Stop the one at work.

        Raises:
            ValueError: if there is none, or it is another visitor's.
        """
        live = self.live()
        if live is None:
            raise ValueError("no evaluation is at work, so there is nothing to cancel")
        processes.cancel_process(self.find(live.name, owner))

    def all(self, owner: str | None = None) -> list[EvaluationJob]:
        """Every one, newest first."""
        self._children = [child for child in self._children if child.poll() is None]
        folders = sorted((path.parent for path in self.folder.glob("*/evaluation.json")), reverse=True)
        return [self.read(folder) for folder in folders if owner in (None, ownership.owner_of(folder))]

    def live(self) -> EvaluationJob | None:
        """The one at work, if any."""
        return next((one for one in self.all() if one.state == "running"), None)

    def read(self, folder: Path) -> EvaluationJob:
        """One evaluation as it stands."""
        about = _about(folder)
        said = processes.last_output_line(folder)
        if processes.find_process(folder) is not None:
            state: EvaluationState = "running"
        elif (folder / "rows.jsonl").is_file():
            state = "finished"
        else:
            state = "cancelled" if ownership.job(folder).get("cancelled") else "failed"
        return EvaluationJob(folder.name, state, tuple(about["variants"]), said)

    def cost(self, variants: int, limit: int, model: str = DEFAULT_BASE) -> EvaluationCost:
        """Answers and seconds of measuring so many variants: by the newest that ran through here, if one did."""
        answers = _answers(variants, limit)
        for path in sorted(self.folder.glob("*/rows.jsonl"), reverse=True):
            about = _about(path.parent)
            if about.get("began") and about.get("model") == model:
                took = path.stat().st_mtime - about["began"]
                then = _answers(len(about["variants"]) - 1, about["limit"])
                return EvaluationCost(
                    answers, took / then * answers, f"as evaluation {path.parent.name} took on this machine"
                )
        if model == DEFAULT_BASE:
            return EvaluationCost(
                answers, answers * _ANSWER_SECONDS, "as on two free cores; none ran through on this machine yet"
            )
        return EvaluationCost(answers, None, f"no evaluation of {model} ran through on this machine yet")

    def find(self, name: str, owner: str | None = None) -> Path:
        """The folder of one.

        Raises:
            ValueError: if there is none of that name, or it is another visitor's.
        """
        folder = ownership.owned_folder(self.folder, name, "evaluation.json", owner)
        if folder is None:
            raise ValueError(f"there is no evaluation called {name[:80]!r} of yours")
        return folder

    def _spawn(self, folder: Path) -> None:
        about = _about(folder)
        arguments = ["evaluate", "--out", str(folder / "rows.jsonl"), "--limit", str(about["limit"])]
        arguments += ["--max-tokens", str(EVALUATION_NEW_TOKENS), "--model", about.get("model", DEFAULT_BASE)]
        for variant in about["variants"]:
            arguments += ["--variant", variant]
        self._children.append(processes.spawn_process(folder, arguments))


def _about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    return found


def _answers(variants: int, limit: int) -> int:
    """Base included; a set that has fewer prompts than `limit` is asked whole."""
    return (variants + 1) * sum(min(limit, size) for size in _sizes())


@cache
def _sizes() -> tuple[int, ...]:
    """Held-out prompts of each set that is answered; they come with the project and do not change."""
    return tuple(len({pair.prompt_id for pair in split(load_pairs(spec, kind).pairs, "test")}) for spec, kind in _ASKED)
