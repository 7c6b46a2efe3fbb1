"""The endpoints that scripts call by name: answer, sweep, run_status. They obey the page's limits and return JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from sku.core.records import Answer, Verdict
from sku.core.variants import BASE
from sku.serving.training_jobs import TrainingJobs
from sku.ui.compare.column_variant import offered_entries
from sku.ui.events import DECODING_QUEUE
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Question, checked_coefficient
from sku.ui.hosting.rate_limit import RateLimited

MAX_SWEEP_COEFFICIENTS = 16
"""The most coefficients in one sweep."""
_REFUSED = (ValueError, OSError, RateLimited)
"""The exceptions that become an error message for the script."""


def add_endpoints(access: Access, trainings: TrainingJobs) -> None:
    """Add the endpoints to the page under construction."""
    scripts = ScriptEndpoints(access, trainings)
    gr.api(scripts.answer, api_name="answer", **DECODING_QUEUE)
    gr.api(scripts.sweep, api_name="sweep", **DECODING_QUEUE)
    gr.api(scripts.run_status, api_name="run_status")


class ScriptEndpoints:
    """The endpoints. Their parameters and docstrings are shown to authors of scripts."""

    def __init__(self, access: Access, trainings: TrainingJobs) -> None:
        self._access, self._trainings = access, trainings

    def answer(
        self,
        request: gr.Request,
        prompt: str,
        variants: list[str],
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        samples: int = 1,
    ) -> list[dict[str, Any]]:
        """Return one object per variant and sample: text, tokens, seconds, the verdict and the judge's name."""
        how = {"length": max_new_tokens, "temperature": temperature, "seed": seed, "samples": samples}
        try:
            return self._judged(self._question(request, prompt, variants, **how))
        except _REFUSED as error:
            raise gr.Error(str(error), title="Not answered") from error

    def sweep(
        self, request: gr.Request, prompt: str, name: str, coefficients: list[float], max_new_tokens: int = 64
    ) -> list[dict[str, Any]]:
        """Return one adapter's greedy answer at each coefficient, with its verdict and its KL from base.

        The KL is measured on the base's own answer.
        """
        try:
            variants = _swept_variants(name, coefficients)
            first = self._question(request, prompt, variants[:1], length=max_new_tokens)
            base, *rows = self._judged(Question(first.prompt, [BASE, *variants], first.config))
            session = self._access.session
            kl = session.divergence(first.prompt, base["text"], variants) if base["text"].strip() else None
            return [{**row, "kl": None if kl is None else kl[i]} for i, row in enumerate(rows)]
        except _REFUSED as error:
            raise gr.Error(str(error), title="Not swept") from error

    def run_status(self, request: gr.Request, run: str) -> dict[str, Any]:
        """Return a training's progress: state, step, steps, seconds_left, the newest losses, and why it failed."""
        try:
            job = self._trainings.read(str(run), self._access.owner(request))
        except ValueError as error:
            raise gr.Error(str(error), title="No such run") from error
        return {
            "run": job.name,
            "method": job.config.method,
            "state": job.state,
            "step": job.step,
            "steps": job.config.steps,
            "seconds_left": job.seconds_left,
            "terms": job.lines[-1]["terms"] if job.lines else {},
            "said": job.message,
        }

    def _question(self, request: gr.Request, prompt: Any, variants: Any, **how: Any) -> Question:
        if not isinstance(variants, list):
            raise ValueError(f'variants is {str(variants)[:60]!r}; give a list such as ["base", "sku@1.0"]')
        entries, gate = self._access.entries(request), self._access.gate
        known = {entry.name for text in variants for entry in offered_entries(text, entries, gate)}
        return self._access.gate.question(self._access.visitor(request), prompt, variants, known, **how)

    def _judged(self, asked: Question) -> list[dict[str, Any]]:
        session = self._access.session
        answers = session.answers([asked.prompt], asked.variants, asked.config)
        try:
            verdicts = session.verdicts(asked.prompt, [answer.text for answer in answers])
        except (ValueError, OSError) as error:  # an answer without a verdict is still useful
            verdicts = [Verdict("unjudged", None, str(error), "none")] * len(answers)
        return [_judged_answer(*pair) for pair in zip(answers, verdicts, strict=True)]


def _swept_variants(name: str, coefficients: Any) -> list[str]:
    if not isinstance(coefficients, list) or not 1 <= len(coefficients) <= MAX_SWEEP_COEFFICIENTS:
        raise ValueError(f"give a list of 1 to {MAX_SWEEP_COEFFICIENTS} coefficients, such as [0, 0.5, 1]")
    return [f"{name}@{checked_coefficient(coefficient):g}" for coefficient in coefficients]


def _judged_answer(answer: Answer, verdict: Verdict) -> dict[str, Any]:
    judged = {"verdict": verdict.outcome, "score": verdict.score, "judge": verdict.judge, "reason": verdict.reason}
    return {**dataclasses.asdict(answer), **judged}
