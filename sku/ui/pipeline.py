"""Pipeline: start a training, watch it, find it in Compare. Reads run folders, so a reload or restart loses nothing."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from sku.config import PRESETS, preset
from sku.figures import loss_curves
from sku.jobs import Job, Jobs
from sku.methods import METHODS

_HARMFUL = {"bundled (mild, comes with the project)": "bundled", "PKU-SafeRLHF (hub)": "saferlhf"}
_NORMAL = {
    "own answers of the base": "self",
    "bundled": "bundled",
    "TruthfulQA (hub)": "truthfulqa",
    "own answers to TruthfulQA (hub)": "self:truthfulqa",
}
_LOCAL_PRESETS = ("quick", "standard", "tiny")
_ACTIONS = ("Resume", "Delete")
_METHOD = "sku_contrast"


def build() -> None:
    """Lay the tab out and wire it."""
    jobs = Jobs()
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            method = gr.Dropdown(
                [(found.label, name) for name, found in METHODS.items() if found.terms],
                value=_METHOD,
                label="Method",
                elem_id="method",
            )
            about = gr.Markdown(_about(_METHOD, "quick"), elem_classes="facts")
            size = gr.Dropdown(
                [(f"{name}: {PRESETS[name].note}", name) for name in _LOCAL_PRESETS],
                value="quick",
                label="Preset",
                elem_id="preset",
            )
            harmful = gr.Dropdown(list(_HARMFUL.items()), value="bundled", label="Harmful pairs", elem_id="harmful")
            normal = gr.Dropdown(list(_NORMAL.items()), value="self", label="Normal pairs", elem_id="normal")
            preservation = gr.Radio(
                ["keep", "push", "off"],
                value="keep",
                label="Preservation",
                info="What stage 1 does to normal text: keep it, push it away (as published), or nothing.",
            )
            with gr.Accordion("More: steps, learning rate, seed", open=False):
                steps = gr.Number(None, precision=0, minimum=1, maximum=1000, label="Steps", info="empty: the preset's")
                rate = gr.Number(None, minimum=0, maximum=0.1, label="Learning rate", info="empty: the preset's")
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
            start = gr.Button("Start", variant="primary", elem_id="start")
        with gr.Column(scale=3, min_width=320):
            doing = gr.HTML(elem_id="doing-box")
            cancel = gr.Button("Cancel", size="sm", elem_id="cancel", visible=False)
            curves = gr.Plot(loss_curves([]), show_label=False, elem_id="curves", buttons=[])
            gr.Markdown("**Runs**")
            with gr.Row():
                chosen = gr.Dropdown([], label="Run", elem_id="run", interactive=True)
                resume, delete = (gr.Button(name, size="sm", min_width=80) for name in _ACTIONS)
            table = gr.Dataframe(headers=_HEADERS, interactive=False, elem_id="runs", show_label=False)
    clock = gr.Timer(1)
    shown = gr.State("")
    watched = [doing, cancel, curves, chosen, table, shown]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def look(name: str | None, before: str) -> list[Any]:
        return _look(jobs, name, before)

    clock.tick(look, [chosen, shown], watched, concurrency_limit=None, **quiet)
    gr.on([method.change, size.change], _about, [method, size], about, **quiet)
    settings = [method, size, harmful, normal, preservation, steps, rate, seed]
    start.click(lambda *values: _start(jobs, *values), settings, chosen, api_visibility="private").then(
        look, [chosen, shown], watched, **quiet
    )
    cancel.click(lambda: _cancel(jobs), None, None, **quiet)
    resume.click(lambda name: _resume(jobs, name), chosen, None, **quiet)
    delete.click(lambda name: _delete(jobs, name), chosen, chosen, **quiet)


_HEADERS = ["run", "method", "preservation", "state", "steps", "time"]


def _about(name: str, size: str) -> str:
    found = METHODS[name]
    terms = " + ".join(f"{weight:g} {term}" for term, weight in preset(size).config(method=name).terms.items())
    return f"{terms}; the vector is {'subtracted' if found.negated else 'added'}. *{found.fidelity}*, {found.paper}"


def _start(
    jobs: Jobs, method: str, size: str, harmful: str, normal: str, preservation: str, steps: Any, rate: Any, seed: Any
) -> Any:
    try:
        config = preset(size).config(
            method=method,
            harmful=(harmful,),
            normal=(normal,),
            preservation=preservation,
            steps=int(steps) if steps else None,
            learning_rate=float(rate) if rate else None,
            seed=int(seed or 0),
        )
        job = jobs.start(config)
    except (ValueError, RuntimeError, OSError) as error:
        raise gr.Error(str(error), title="Not started") from error
    return gr.Dropdown(choices=[job.name for job in jobs.all()], value=job.name)


def _cancel(jobs: Jobs) -> None:
    live = jobs.live()
    if live is None:
        raise gr.Error("No run is at work, so there is nothing to cancel.", title="Nothing to cancel")
    jobs.cancel(live.name)
    gr.Info(f"{live.name} stops after its current step and can be resumed.")


def _resume(jobs: Jobs, name: str | None) -> None:
    try:
        jobs.resume(name or "")
    except (ValueError, RuntimeError, OSError) as error:
        raise gr.Error(str(error), title="Not resumed") from error


def _delete(jobs: Jobs, name: str | None) -> Any:
    try:
        jobs.delete(name or "")
    except (ValueError, RuntimeError, OSError) as error:
        raise gr.Error(str(error), title="Not deleted") from error
    return gr.Dropdown(value=None)


def _look(jobs: Jobs, name: str | None, before: str) -> list[Any]:
    """Updates of everything watched; what has not changed since `before` is left alone, so that nothing flickers."""
    every = jobs.all()
    names = [job.name for job in every]
    live = next((job for job in every if job.live), None)
    job = next((job for job in every if job.name == name), live or (every[0] if every else None))
    now = "|".join(f"{j.name} {j.state} {j.step}" for j in every) + f"|{name}|{job.doing if job else ''}"
    if now == before:
        return [gr.skip()] * 5 + [before]
    return [
        _doing(job),
        gr.Button(visible=live is not None),
        loss_curves(job.lines if job else []),
        gr.Dropdown(choices=names, value=job.name if job else None),
        [_row(j) for j in every],
        now,
    ]


def _doing(job: Job | None) -> str:
    if job is None:
        return "<div id='doing'>No run yet. Choose a method and start; it trains on while you reload or compare.</div>"
    done = 100 * job.step / job.config.steps
    left = job.seconds_left
    said = [f"<b>{html.escape(job.name)}</b>: {job.state}", f"step {job.step} of {job.config.steps}"]
    if left is not None:
        said.append(f"{_time(left)} left")
    if job.lines and job.live:
        newest = job.lines[-1]
        said.append(f"{newest['tokens'] / newest['seconds']:.0f} tok/s")
    if job.state == "finished":
        said.append("choose it in Compare")
    extra = "" if job.state in ("running", "finished") and job.lines else f"<br>{html.escape(job.doing[:300])}"
    return f"<div id='doing'>{' · '.join(said)}{extra}</div><div id='bar'><div style='width:{done:.0f}%'></div></div>"


def _row(job: Job) -> list[Any]:
    spent = sum(line["seconds"] for line in job.lines)
    kind = job.config.preservation if "preservation" in job.config.terms else "-"
    return [job.name, METHODS[job.config.method].label, kind, job.state, f"{job.step}/{job.config.steps}", _time(spent)]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
