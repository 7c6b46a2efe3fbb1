"""What Pipeline shows of trainings, made from run folders alone. Everything that others wrote is escaped."""

from __future__ import annotations

import functools
import html
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from sku.core import runs
from sku.core.jsonl import read_json_log
from sku.core.methods import METHODS
from sku.reporting.loss_curves import loss_figure, run_comparison_figure
from sku.reporting.norm_heatmap import norm_figure
from sku.serving.training_jobs import TrainingJob
from sku.training import vector_norms

RUN_HEADERS = ["run", "method", "preservation", "state", "steps", "time"]


def status_html(job: TrainingJob | None, busy: bool) -> str:
    """The line and the bar of one run.

    Args:
        job: none where there is no run yet.
        busy: whether another visitor's training is at work.
    """
    other = " Another visitor's training is at work; one runs at a time." if busy else ""
    if job is None:
        none = "No run yet. Choose a method and start; it trains on while you reload or compare."
        return f"<div id='doing'>{none}{other}</div>"
    done = 100 * job.step / job.config.steps
    left = job.seconds_left
    said = [f"<b>{html.escape(job.name)}</b>: {job.state}", f"step {job.step} of {job.config.steps}"]
    if left is not None:
        said.append(f"{duration(left)} left")
    if job.lines:
        newest = job.lines[-1]
        if job.live:
            said.append(f"{newest['tokens'] / newest['seconds']:.0f} tok/s")
        title = "norm of the gradient of the newest step, before clipping"
        said.append(f"<span title='{title}'>gradient norm {newest['gradient_norm']:.2f}</span>")
    if job.state == "finished":
        said.append("choose it in Compare")
    extra = "" if job.state in ("running", "finished") and job.lines else f"<br>{html.escape(job.message[:400])}"
    bar = f"<div id='bar'><div style='width:{done:.0f}%'></div></div>"
    return f"<div id='doing'>{' · '.join(said)}{extra}{other}</div>{bar}"


def probe_table(job: TrainingJob | None) -> str:
    """What the served model answered to the probe prompt along the run: the first, the newest, and one in between."""
    lines = read_json_log(job.folder / runs.PROBES) if job else []
    if not lines:
        return ""
    some = [lines[i] for i in sorted({0, len(lines) // 2, len(lines) - 1})]
    rows = "".join(
        f"<tr><th scope='row'>step {line['step']}</th><td>{html.escape(line['answer'] or '(nothing)')}</td>"
        f"<td>{_perplexity(line['normal_perplexity'])}</td></tr>"
        for line in some
    )
    prompt = html.escape(lines[0]["prompt"])
    title = "of what will be served, on a few normal answers: it should stay where it was"
    head = f"<tr><th>probe</th><th>{prompt}</th><th title='{title}'>normal perplexity</th></tr>"
    return f"<table class='probes'>{head}{rows}</table>"


def loss_plot(job: TrainingJob | None, beside: Sequence[TrainingJob]) -> go.Figure:
    """The terms of one run, or the totals of several."""
    if job and beside:
        return run_comparison_figure({one.name: one.lines for one in (job, *beside)})
    return loss_figure(job.lines if job else [])


def norm_plot(job: TrainingJob | None) -> go.Figure | None:
    """The norm of the run's vector, layer by module; None while there is no adapter."""
    folder = None if job is None else job.folder / "adapter"
    if folder is None or not (folder / "adapter_config.json").is_file():
        return None
    return norm_figure(vector_norms.layer_norms(folder))


def run_row(job: TrainingJob) -> list[Any]:
    """One line of the table of runs."""
    spent = sum(line["seconds"] for line in job.lines)
    kind = job.config.preservation if "preservation" in job.config.terms else "-"
    return [
        job.name,
        METHODS[job.config.method].label,
        kind,
        job.state,
        f"{job.step}/{job.config.steps}",
        duration(spent),
    ]


def zip_adapter(job: TrainingJob) -> Path:
    """A zip of the adapter, as served at its default coefficient, with its card.

    Raises:
        ValueError: if the run has no adapter yet.
    """
    from sku.training.export import export_variant

    if not (job.folder / "adapter").is_dir():
        raise ValueError(f"run {job.name} is {job.state} and has no adapter yet; finish it first")
    path = Path(download_folder().name) / f"{job.name}.zip"
    with tempfile.TemporaryDirectory() as folder:
        out = export_variant(job.name, Path(folder) / job.name, "adapter")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in sorted(out.iterdir()):
                packed.write(file, f"{job.name}/{file.name}")
    return path


@functools.cache
def download_folder() -> tempfile.TemporaryDirectory[str]:
    """Files that the page hands out, which it may do from the temporary folder; gone with the process."""
    return tempfile.TemporaryDirectory(prefix="sku-")


def duration(seconds: float) -> str:
    """Minutes and seconds, to read."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _perplexity(found: float | None) -> str:
    return "not measured" if found is None else f"{found:.3g}"
