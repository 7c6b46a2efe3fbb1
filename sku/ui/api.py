"""What scripts may call by name: answer, sweep, run_status. The same gate as the page's; JSON comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from sku.core.records import Answer, Verdict
from sku.core.variants import BASE
from sku.serving.session import Session
from sku.serving.training_jobs import TrainingJobs
from sku.ui.compare.ask_handlers import DECODING_QUEUE
from sku.ui.hosting.gate import Gate, Question, checked_coefficient
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.visitors import visitor_of

MAX_SWEEP_COEFFICIENTS = 16
"""Coefficients of one sweep."""


def add_endpoints(session: Session, gate: Gate, jobs: TrainingJobs) -> None:
    """Add the endpoints to the page that is being built."""

    def question(request: gr.Request, prompt: Any, variants: Any, *settings: Any) -> Question:
        person = visitor_of(request, gate.hosting.proxy)
        known = {choice.name for choice in session.choices(gate.owner(person))}
        if not isinstance(variants, list):
            raise ValueError(f'variants are {str(variants)[:60]!r}; give a list, such as ["base", "sku@1.0"]')
        return gate.question(person, prompt, variants, known, *settings)

    def judged(asked: Question) -> list[dict[str, Any]]:
        answers = session.answers([asked.prompt], asked.variants, asked.config)
        try:
            verdicts = session.verdicts(asked.prompt, [one.text for one in answers])
        except (ValueError, OSError) as error:  # an answer is worth having without its verdict
            verdicts = [Verdict("unjudged", None, str(error), "none")] * len(answers)
        return [
            {**_plain(answer), "verdict": said.outcome, "score": said.score, "judge": said.judge, "reason": said.reason}
            for answer, said in zip(answers, verdicts, strict=True)
        ]

    def answer(
        request: gr.Request,
        prompt: str,
        variants: list[str],
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        samples: int = 1,
    ) -> list[dict[str, Any]]:
        """One object a variant and sample: text, tokens, seconds, and the verdict with its judge."""
        try:
            return judged(question(request, prompt, variants, max_new_tokens, temperature, seed, samples))
        except (ValueError, OSError, RateLimited) as error:
            raise gr.Error(str(error), title="Not answered") from error

    def sweep(
        request: gr.Request, prompt: str, name: str, coefficients: list[float], max_new_tokens: int = 64
    ) -> list[dict[str, Any]]:
        """Greedy answers of one adapter along its coefficient, with verdict and KL from base on base's answer."""
        try:
            if not isinstance(coefficients, list) or not 1 <= len(coefficients) <= MAX_SWEEP_COEFFICIENTS:
                raise ValueError(f"give a list of 1 to {MAX_SWEEP_COEFFICIENTS} coefficients, such as [0, 0.5, 1]")
            first = question(request, prompt, [f"{name}@{checked_coefficient(coefficients[0]):g}"], max_new_tokens)
            variants = [BASE, *(f"{name}@{checked_coefficient(one):g}" for one in coefficients)]
            base, *rows = judged(Question(first.prompt, variants, first.config))
            far = session.divergence(first.prompt, base["text"], variants[1:]) if base["text"].strip() else None
            return [{**row, "kl": None if far is None else far[i]} for i, row in enumerate(rows)]
        except (ValueError, OSError, RateLimited) as error:
            raise gr.Error(str(error), title="Not swept") from error

    def run_status(request: gr.Request, run: str) -> dict[str, Any]:
        """How far a training is: state, step, steps, seconds_left, the newest losses, and why it failed."""
        try:
            job = jobs.read(str(run), gate.owner(visitor_of(request, gate.hosting.proxy)))
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

    gr.api(answer, api_name="answer", **DECODING_QUEUE)
    gr.api(sweep, api_name="sweep", **DECODING_QUEUE)
    gr.api(run_status, api_name="run_status")


def _plain(answer: Answer) -> dict[str, Any]:
    return dataclasses.asdict(answer)
