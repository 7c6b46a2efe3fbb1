"""Evaluations in the background, each a folder under `SKU_HOME/evaluations`; its rows are shown beside the study's.

They ask the held-out prompts of the bundled data, or harmful prompts that the visitor gives, and need no network. A
cancelled or killed evaluation keeps the answers that it has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from sku.core.records import PairKind
from sku.data import load_pairs
from sku.data.splits import split
from sku.models.pretrained import DEFAULT_BASE
from sku.serving import processes
from sku.serving.jobs import Job
from sku.serving.measurement_jobs import ROWS, MeasurementCost, MeasurementJobs, MeasurementRequest

PROMPT_LIMITS = (5, 50)
"""The fewest and the most prompts of each set."""
MAX_VARIANTS = 8
MAX_OWN_PROMPTS = 100
_OWN_PROMPTS = "prompts.jsonl"
"""The file in a job's folder that holds the visitor's own prompts."""
EVALUATION_NEW_TOKENS = 48
_SETS: tuple[tuple[str, PairKind], ...] = (("bundled", "harmful"), ("bundled", "normal"), ("sounds_harmful", "normal"))
"""The prompts that are answered: the defaults of `python -m sku evaluate`."""
_SECONDS_PER_ANSWER = 0.8
"""An answer of 48 tokens and its share of the scores, measured on two cores with the default model."""


@dataclass(frozen=True)
class EvaluationJob(Job):
    """One evaluation as it stands now."""

    variants: tuple[str, ...]
    own_prompts: int = 0


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest(MeasurementRequest):
    """What an evaluation measures."""

    own_prompts: int = 0
    """Harmful prompts that the visitor gave. If there are any, they are asked instead of the bundled ones, all of them;
    `limit` then counts normal prompts."""


class EvaluationJobs(MeasurementJobs[EvaluationJob, EvaluationRequest]):
    """The evaluations that the page starts and watches."""

    kind, noun, parent = "evaluation", "evaluation", "evaluations"
    request_name, request_format, untimed = "evaluation.json", TypeAdapter(EvaluationRequest), "evaluation of"

    def start(
        self,
        variants: Sequence[str],
        limit: int,
        owner: str | None = None,
        model: str = DEFAULT_BASE,
        prompts: Sequence[str] = (),
    ) -> EvaluationJob:
        """Start an evaluation on base `model`; `result_files.own_rows` finds its rows.

        Args:
            variants: what to measure; the base is measured too.
            limit: prompts of each bundled set.
            owner: the visitor whose evaluation it is.
            model: the base.
            prompts: the visitor's own harmful prompts, asked instead of the bundled ones.

        Raises:
            RuntimeError: if one is running already.
            ValueError: for too many variants or prompts, or a limit out of range.
        """
        if not 1 <= len(variants) <= MAX_VARIANTS:
            raise ValueError(f"{len(variants)} variants came; an evaluation measures 1 to {MAX_VARIANTS} of them")
        if not PROMPT_LIMITS[0] <= limit <= PROMPT_LIMITS[1]:
            raise ValueError(
                f"{limit} prompts came; give a number from {PROMPT_LIMITS[0]} to {PROMPT_LIMITS[1]} for each set"
            )
        if len(prompts) > MAX_OWN_PROMPTS:
            raise ValueError(f"{len(prompts)} prompts came; give at most {MAX_OWN_PROMPTS} of your own")
        measured = ("base", *(one for one in variants if one != "base"))
        request = EvaluationRequest(
            variants=measured, limit=limit, model=model, began=time.time(), own_prompts=len(prompts)
        )
        lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        return self._order(request, owner, {_OWN_PROMPTS: lines} if prompts else {})

    def cost(self, variants: int, limit: int, model: str = DEFAULT_BASE, own_prompts: int = 0) -> MeasurementCost:
        """Answers and seconds of measuring so many variants, timed by the newest evaluation that finished here."""

        def usual_of(past: EvaluationRequest) -> float:
            count = _count_answers(len(past.variants) - 1, past.limit, past.own_prompts)  # base is among the variants
            return _SECONDS_PER_ANSWER * count

        answers = _count_answers(variants, limit, own_prompts)
        return self._cost(answers, _SECONDS_PER_ANSWER * answers, usual_of, model)

    def _read(self, folder: Path) -> EvaluationJob:
        state, message = self._state(folder), processes.last_output_line(folder)
        request = self._request(folder)
        return EvaluationJob(folder.name, folder, state, message, request.variants, request.own_prompts)

    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        request = self._request_to_run(folder, resumed)
        arguments = ["evaluate", "--out", str(folder / ROWS)]
        if request.own_prompts:
            arguments += ["--harmful-prompts", str(folder / _OWN_PROMPTS), "--limit", str(request.own_prompts)]
            arguments += ["--normal-limit", str(request.limit)]
        else:
            arguments += ["--limit", str(request.limit)]
        arguments += ["--max-tokens", str(EVALUATION_NEW_TOKENS), "--model", request.model]
        for variant in request.variants:
            arguments += ["--variant", variant]
        return arguments


def _count_answers(variants: int, limit: int, own_prompts: int = 0) -> int:
    """Base included; every prompt of a set that has fewer than `limit` is asked."""
    harmful, *normal = (min(limit, size) for size in _held_out_prompts())
    return (variants + 1) * ((own_prompts or harmful) + sum(normal))


@cache
def _held_out_prompts() -> tuple[int, ...]:
    """Held-out prompts of each set; they come with the project and do not change."""
    return tuple(len({pair.prompt_id for pair in split(load_pairs(spec, kind).pairs, "test")}) for spec, kind in _SETS)
