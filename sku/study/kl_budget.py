"""At which coefficient a tuned training is measured: the largest whose KL from base keeps the budget.

A harmful rate falls and the KL rises with the coefficient. So all tuned trainings can be compared at the same cost, and
only one of their coefficients has to write answers.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sku.evaluation.passes import ProgressReport
from sku.evaluation.plan import EvaluationPlan, PromptSets, PromptSources, measured_variant
from sku.evaluation.prompt_sets import load_prompt_sets
from sku.evaluation.runner import EvaluationRunner
from sku.serving.live_session import LiveSession


def largest_coefficients(
    session: LiveSession,
    trainings: Mapping[Path, Sequence[float]],
    budget: float,
    sources: PromptSources,
    work: Path,
    report: ProgressReport = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[Path, float]:
    """For each training, the largest coefficient with at most `budget`; the smallest if none has so little.

    The KL is taken to rise with the coefficient, so it is measured at three of seven coefficients (bisection).

    Args:
        session: with the base of the trainings.
        trainings: run folders, each with the coefficients to choose from.
        budget: mean KL from base on the base's own answers to validation prompts, nats per token.
        sources: their normal prompts are used.
        work: keeps the likelihoods; an evaluation of the same prompts in that folder uses them again.
        report: called after every batch.
        cancelled: asked before every batch.

    Raises:
        Cancelled: if `cancelled` said so; the same call continues.
    """
    if not trainings:
        return {}
    subjects = {
        (folder, coefficient): measured_variant(session.variant(f"{folder}@{coefficient:g}"))
        for folder, coefficients in trainings.items()
        for coefficient in coefficients
    }
    model = session.load()
    normal = replace(sources, harmful=(), pairs=(), references=(), sounds_harmful=(), choices=None)
    own = load_prompt_sets(model, normal, "validation").own
    plan = EvaluationPlan(session.model_name, tuple(subjects.values()), PromptSets(own=own), "validation")
    runner = EvaluationRunner(model, plan, work, report, cancelled)

    def kl(folder: Path, coefficient: float) -> float:
        subject = subjects[folder, coefficient]
        runner.score_given_answers([subject])
        lines = [runner.likelihoods[runner.likelihood_key(subject, pair, "own")] for pair in own]
        return statistics.fmean(line.kl for line in lines if line.kl is not None)

    def largest(folder: Path, coefficients: Sequence[float]) -> float:
        ordered = sorted(coefficients)
        within = bisect_right(ordered, budget, key=lambda coefficient: kl(folder, coefficient))
        return ordered[max(within - 1, 0)]

    return {folder: largest(folder, coefficients) for folder, coefficients in trainings.items()}
