"""What Pipeline shows about trainings. It is read from run folders only, and all foreign text in it is escaped."""

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
from sku.core.file_cache import read_growing_json_log, read_if_changed
from sku.core.peft_folders import PEFT_WEIGHTS
from sku.core.run_names import given_name
from sku.reporting.loss_curves import loss_figure, run_comparison_figure
from sku.reporting.norm_heatmap import norm_figure
from sku.serving.training_jobs import TrainingJob
from sku.training import vector_norms
from sku.ui.train.method_labels import method_label

RUN_HEADERS = ["run", "method", "preservation", "state", "steps", "time", "expected"]


def status_html(job: TrainingJob | None, busy: bool) -> str:
    """The status line and the progress bar of one run.

    Args:
        job: the run; None if there is no run yet.
        busy: whether another visitor's training is running.
    """
    notice = " Another visitor's training is running. Only one training runs at a time." if busy else ""
    if job is None:
        hint = "There is no run yet. Press Start. Training continues if you reload or change tabs."
        return f"<div id='doing'>{hint}{notice}</div>"
    finished_without_steps = job.state == "finished" and not job.config.terms
    percent_done = 100 if finished_without_steps else 100 * job.step / job.config.steps
    seconds_left = job.seconds_left
    facts = [f"<b>{html.escape(given_name(job.folder) or job.name)}</b>: {job.state}"]
    if job.config.terms:
        facts.append(f"step {job.step} of {job.config.steps}")
    if seconds_left is not None:
        facts.append(f"{duration(seconds_left)} left, probes counted")
    if job.state == "finished" and job.took is not None:
        expected = "" if job.expected is None else f" ({duration(job.expected)} was expected)"
        facts.append(f"took {duration(job.took)}{expected}")
    if job.lines:
        newest = job.lines[-1]
        if job.live:
            facts.append(f"{newest['tokens'] / newest['seconds']:.0f} tok/s")
        title = "norm of the gradient in the newest step, before clipping"
        facts.append(f"<span title='{title}'>gradient norm {newest['gradient_norm']:.2f}</span>")
    message = "" if job.state in ("running", "finished") and job.lines else f"<br>{html.escape(job.message[:400])}"
    bar = f"<div id='bar'><div style='width:{percent_done:.0f}%'></div></div>"
    return f"<div id='doing'>{' · '.join(facts)}{message}{notice}</div>{bar}"


def probe_table(job: TrainingJob | None) -> str:
    """A table of the served model's answers to the probe: now, in between and before the training."""
    lines = read_growing_json_log(job.folder / runs.PROBES) if job else []
    if not lines:
        return ""
    newest = len(lines) - 1
    shown = [(lines[i], _when(i, newest)) for i in sorted({0, len(lines) // 2, newest}, reverse=True)]
    rows = "".join(
        f"<tr><th scope='row'>{when}step {line['step']}</th><td>{html.escape(line['answer'] or '(empty)')}</td>"
        f"<td>{_perplexity(line['normal_perplexity'])}</td></tr>"
        for line, when in shown
    )
    prompt = html.escape(lines[0]["prompt"])
    title = "perplexity of a few normal answers under the model that will be served; it should not change much"
    head = f"<tr><th>probe</th><th>{prompt}</th><th title='{title}'>normal perplexity</th></tr>"
    return f"<table class='probes'>{head}{rows}</table>"


def loss_plot(job: TrainingJob | None, beside: Sequence[TrainingJob]) -> go.Figure:
    """The losses of one run term by term, or the total losses of several runs."""
    if job and beside:
        return run_comparison_figure({run.name: run.lines for run in (job, *beside)})
    return loss_figure(job.lines if job else [])


def norm_plot(job: TrainingJob | None) -> go.Figure | None:
    """The norm of the run's task vector by layer and module; None while there is no adapter."""
    weights = None if job is None else job.folder / "adapter" / PEFT_WEIGHTS
    if weights is None or not weights.is_file():
        return None
    return norm_figure(read_if_changed(weights, _norms_of_file))


def _norms_of_file(weights: Path) -> dict[str, list[float | None]]:
    return vector_norms.layer_norms(weights.parent)


def run_row(job: TrainingJob) -> list[Any]:
    """A run's row in the table of runs."""
    seconds = sum(line["seconds"] for line in job.lines) if job.took is None else job.took
    preservation = job.config.preservation if "preservation" in job.config.terms else "-"
    return [
        job.name,
        method_label(job.config.method),
        preservation,
        job.state,
        f"{job.step}/{job.config.steps}" if job.config.terms else "-",
        duration(seconds),
        "-" if job.expected is None else duration(job.expected),
    ]


def zip_adapter(job: TrainingJob) -> Path:
    """A zip file with the run's card and its adapter, scaled to the default coefficient.

    Raises:
        ValueError: if the run has no adapter yet.
    """
    from sku.training.export import export_variant

    if not (job.folder / "adapter").is_dir():
        raise ValueError(f"run {job.name} is {job.state} and has no adapter yet; wait until it finishes, or resume it")
    path = Path(download_folder().name) / f"{job.name}.zip"
    with tempfile.TemporaryDirectory() as folder:
        out = export_variant(job.name, Path(folder) / job.name, "adapter")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in sorted(out.iterdir()):
                packed.write(file, f"{job.name}/{file.name}")
    return path


@functools.cache
def download_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for downloads. It is a temporary folder, which gradio may serve, and is deleted with the process."""
    return tempfile.TemporaryDirectory(prefix="sku-")


def duration(seconds: float) -> str:
    """A time in minutes and seconds, for a reader."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _when(place: int, newest: int) -> str:
    return "before, " if place == 0 else "now, " if place == newest else ""


def _perplexity(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
