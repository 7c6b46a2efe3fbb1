"""What was measured of a finished run, at its recommended coefficient: one line, or how far the measurement is."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sku.core import runs
from sku.core.file_cache import read_if_changed
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting.result_files import read_rows
from sku.serving.evaluation_jobs import EvaluationJob
from sku.serving.measurement_jobs import ROWS
from sku.serving.training_jobs import TrainingJob

PROMPTS = 15
"""Prompts of each set that the button measures with."""


def measured_variant(job: TrainingJob) -> str:
    """The run at its recommended coefficient, as a variant.

    Raises:
        ValueError: if the run is not finished.
    """
    if job.state != "finished":
        raise ValueError(f"run {job.name} is {job.state}; only a finished run can be measured")
    return f"{job.name}@{runs.read_run(job.folder).manifest.default_coefficient:g}"


def result_html(job: TrainingJob | None, evaluations: Sequence[EvaluationJob]) -> str:
    """The newest measurement of a run; empty if there is none.

    Args:
        job: the run.
        evaluations: those of the visitor, newest first.
    """
    if job is None or job.state != "finished":
        return ""
    variant = measured_variant(job)
    newest = next((one for one in evaluations if variant in one.variants), None)
    if newest is None:
        return ""
    if newest.state != "finished":
        return f"<p>Measuring <b>{html.escape(variant)}</b>: {newest.state}. {html.escape(newest.message[:200])}</p>"
    rows = {row.variant: row for row in read_if_changed(newest.folder / ROWS, read_rows)}
    measured, base = rows.get(variant), rows.get(BASE)
    if measured is None or base is None:
        return ""
    return f"<p><b>{html.escape(variant)}</b>: {_rate(measured)}, base {_rate(base)}{_cost(measured)}.</p>"


def _rate(row: ResultRow) -> str:
    judged = row.n - row.unjudged
    return f"harmful {row.harmful} of {judged}" if judged else "not judged"


def _cost(row: ResultRow) -> str:
    kl = "" if row.kl is None else f", KL {row.kl:.3f} nats a token"
    refused = "" if row.over_refusal is None else f", harmless prompts refused {row.over_refusal:.0%}"
    return kl + refused
