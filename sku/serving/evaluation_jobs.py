"""Evaluations in the background, each a folder under `SKU_HOME/evaluations`; its rows are shown beside the study's.

They ask the held-out prompts of the bundled data, so they need no network. A cancelled or killed evaluation keeps the
answers that it has.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from sku.core import storage
from sku.core.file_cache import read_if_changed
from sku.core.records import PairKind
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.pretrained import DEFAULT_BASE
from sku.serving import processes
from sku.serving.jobs import Job, JobManager, JobState

PROMPT_LIMITS = (5, 50)
"""The fewest and the most prompts of each set."""
MAX_VARIANTS = 8
EVALUATION_NEW_TOKENS = 48
_SETS: tuple[tuple[str, PairKind], ...] = (("bundled", "harmful"), ("bundled", "normal"), ("sounds_harmful", "normal"))
"""The prompts that are answered: the defaults of `python -m sku evaluate`."""
_SECONDS_PER_ANSWER = 0.8
"""An answer of 48 tokens and its share of the scores, measured on two cores with the default model."""
_REQUEST, _ROWS = "evaluation.json", "rows.jsonl"


@dataclass(frozen=True)
class EvaluationJob(Job):
    """One evaluation as it stands now."""

    variants: tuple[str, ...]


class EvaluationCost(NamedTuple):
    """What an evaluation will take."""

    answers: int
    """Base included."""
    seconds: float | None
    """None if this model was never timed."""
    source: str
    """What the time is taken from."""


@dataclass(frozen=True)
class EvaluationRequest:
    """What `evaluation.json` asks for."""

    variants: tuple[str, ...]
    """Base included."""
    limit: int
    """Prompts of each set."""
    model: str = DEFAULT_BASE
    began: float | None = None
    """Unix time of the start; None if it was resumed, so that its time is not known."""


_REQUEST_FORMAT = TypeAdapter(EvaluationRequest)


class EvaluationJobs(JobManager[EvaluationJob]):
    """The evaluations that the page starts and watches."""

    kind, noun, parent = "evaluation", "evaluation", "evaluations"

    def start(
        self, variants: Sequence[str], limit: int, owner: str | None = None, model: str = DEFAULT_BASE
    ) -> EvaluationJob:
        """Start an evaluation on base `model`; `result_files.own_rows` finds its rows.

        Raises:
            RuntimeError: if one is running already.
            ValueError: for too many variants, or a limit out of range.
        """
        if not 1 <= len(variants) <= MAX_VARIANTS:
            raise ValueError(f"{len(variants)} variants came; an evaluation measures 1 to {MAX_VARIANTS} of them")
        if not PROMPT_LIMITS[0] <= limit <= PROMPT_LIMITS[1]:
            raise ValueError(
                f"{limit} prompts came; give a number from {PROMPT_LIMITS[0]} to {PROMPT_LIMITS[1]} for each set"
            )
        measured = ("base", *(one for one in variants if one != "base"))
        return self._start("", {_REQUEST: _as_json(EvaluationRequest(measured, limit, model, time.time()))}, owner)

    def cost(self, variants: int, limit: int, model: str = DEFAULT_BASE) -> EvaluationCost:
        """Answers and seconds of measuring so many variants, timed by the newest evaluation that finished here."""
        answers = _count_answers(variants, limit)
        for job in self.all():
            past = _request(job.folder)
            if job.state == "finished" and past.began and past.model == model:
                seconds = (job.folder / _ROWS).stat().st_mtime - past.began
                share = answers / _count_answers(len(past.variants) - 1, past.limit)
                return EvaluationCost(answers, seconds * share, f"as evaluation {job.name} took on this machine")
        if model == DEFAULT_BASE:
            source = "as on two free cores; no evaluation has finished on this machine yet"
            return EvaluationCost(answers, answers * _SECONDS_PER_ANSWER, source)
        return EvaluationCost(answers, None, f"no evaluation of {model} has finished on this machine yet")

    def _read(self, folder: Path) -> EvaluationJob:
        request = _request(folder)
        if processes.find_process(folder) is not None:
            state: JobState = "running"
        elif (folder / _ROWS).is_file():
            state = "finished"
        else:
            state = "cancelled" if processes.was_cancelled(folder) else "failed"
        return EvaluationJob(folder.name, folder, state, processes.last_output_line(folder), request.variants)

    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        request = _request(folder)
        if resumed:
            storage.write_atomically(folder / _REQUEST, _as_json(dataclasses.replace(request, began=None)))
        arguments = ["evaluate", "--out", str(folder / _ROWS), "--limit", str(request.limit)]
        arguments += ["--max-tokens", str(EVALUATION_NEW_TOKENS), "--model", request.model]
        for variant in request.variants:
            arguments += ["--variant", variant]
        return arguments


def _as_json(request: EvaluationRequest) -> str:
    return json.dumps(dataclasses.asdict(request)) + "\n"


def _request(folder: Path) -> EvaluationRequest:
    path = folder / _REQUEST
    try:
        return read_if_changed(path, _parse_request)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete the evaluation and start it again") from error


def _parse_request(path: Path) -> EvaluationRequest:
    return _REQUEST_FORMAT.validate_json(path.read_bytes())


def _count_answers(variants: int, limit: int) -> int:
    """Base included; every prompt of a set that has fewer than `limit` is asked."""
    return (variants + 1) * sum(min(limit, size) for size in _held_out_prompts())


@cache
def _held_out_prompts() -> tuple[int, ...]:
    """Held-out prompts of each set; they come with the project and do not change."""
    return tuple(len({pair.prompt_id for pair in split(load_pairs(spec, kind).pairs, "test")}) for spec, kind in _SETS)
