"""Pipeline: start a training, watch it, find it in Compare. Reads run folders, so a reload or restart loses nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from sku.core.config import PRESETS, TrainConfig
from sku.core.methods import METHODS
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui import about, glossary
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.visitors import visitor_of
from sku.ui.train import form, run_actions, run_status
from sku.ui.train.form import HARMFUL_SOURCES, INITIAL_FORM, NORMAL_SOURCES, PRESET_NAMES, UPLOAD_LABEL, TrainForm

_CONFIRM = "(name) => name && confirm(`Delete ${name} and its adapter?`) ? name : null"
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build_train(gate: Gate) -> TrainingJobs:
    """Lay the tab out and wire it; returns the trainings that it starts and watches."""
    jobs = TrainingJobs(gate.hosting.training_minutes, gate.hosting.keep_days)

    def who(request: gr.Request) -> Visitor:
        return visitor_of(request, gate.hosting.proxy)

    presets = run_actions.OFFERED_PRESETS if gate.hosting.public else PRESET_NAMES
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            gr.HTML("<h3>1 Model</h3>", padding=False)
            size = gr.Dropdown(
                [(f"{name} · {PRESETS[name].config().model}: {PRESETS[name].note}", name) for name in presets],
                value="quick",
                label="Preset and model",
                elem_id="preset",
            )
            gr.HTML("<h3>2 Data</h3>", padding=False)
            harmful = gr.Dropdown(
                list(HARMFUL_SOURCES.items()), value="bundled", label="Harmful pairs", elem_id="harmful"
            )
            harmful_file = _upload("harmful")
            normal = gr.Dropdown(list(NORMAL_SOURCES.items()), value="self", label="Normal pairs", elem_id="normal")
            normal_file = _upload("normal")
            said = gr.HTML(elem_id="preview-said")
            preview = gr.Dataframe(headers=["prompt", "answer"], visible=False, interactive=False, elem_id="preview")
            gr.HTML("<h3>3 Method</h3>", padding=False)
            method = gr.Dropdown(
                [(found.label, name) for name, found in METHODS.items() if found.terms],
                value=INITIAL_FORM.method,
                label="Method",
                elem_id="method",
            )
            minimises = gr.Markdown(form.method_summary(INITIAL_FORM.method, INITIAL_FORM.size), elem_classes="facts")
            preservation = gr.Radio(
                ["keep", "push", "off"],
                value="keep",
                label="Preservation",
                info="What stage 1 does to normal text: keep it, push it away (as published), or nothing.",
                elem_id="preservation",
            )
            with gr.Accordion("More: steps, learning rate, seed, probe", open=False):
                steps = gr.Number(
                    0,
                    precision=0,
                    minimum=0,
                    maximum=1000,
                    label="Steps",
                    info="0: the preset's",
                    elem_id="steps",
                )
                rate = gr.Number(0, minimum=0, maximum=0.1, label="Learning rate", info="0: the preset's")
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
                probe = gr.Textbox(
                    TrainConfig.probe,
                    label="Probe",
                    max_length=form.MAX_PROBE_CHARACTERS,
                    info="answered along the run, to see knowledge go",
                )
            gr.HTML("<h3>4 Run</h3>", padding=False)
            expected = gr.HTML(
                lambda: form.estimate_text(INITIAL_FORM), elem_id="expected", elem_classes="facts"
            )  # gradio asks again at every load of the page
            start = gr.Button("Start", variant="primary", elem_id="start", interactive=gate.hosting.training)
        with gr.Column(scale=3, min_width=320):
            doing = gr.HTML(elem_id="doing-box")
            cancel = gr.Button("Cancel", size="sm", elem_id="cancel", visible=False)
            stages = gr.HTML(
                about.diagram_html(), elem_classes="stages", padding=False
            )  # until there is a run to look at
            curves = gr.Plot(show_label=False, elem_id="curves", buttons=[], visible=False)
            probes = gr.HTML(elem_id="probes")
            with gr.Column(visible=False) as past:
                with gr.Row(elem_id="run-names"):
                    # custom values: an answer that comes late may bring older choices than the value, and is no fault
                    chosen = gr.Dropdown(
                        [], label="Run", elem_id="run", interactive=True, allow_custom_value=True, scale=2
                    )
                    beside = gr.Dropdown(
                        [],
                        label="Beside it",
                        multiselect=True,
                        elem_id="beside",
                        interactive=True,
                        allow_custom_value=True,
                        scale=2,
                        max_choices=5,
                    )
                with gr.Row(elem_id="run-actions"):
                    resume, rerun, download, delete = (
                        gr.Button(name, size="sm", min_width=80, elem_id=name.lower().split()[0])
                        for name in ("Resume", "Rerun with changes", "Download adapter", "Delete")
                    )
                package = gr.File(visible=False, label="Adapter and card", elem_id="package", interactive=False)
                table = gr.Dataframe(
                    headers=run_status.RUN_HEADERS, interactive=False, elem_id="runs", show_label=False
                )
                with gr.Accordion("Where the weights changed: norm of the task vector, layer by module", open=False):
                    heat = gr.Plot(show_label=False, elem_id="heat", buttons=[])
            glossary.glossary_line(
                *("run", "preset", "harmful pairs", "normal pairs", "method", "term", "preservation", "acquired"),
                *("task vector", "negated", "probe", "gradient norm"),
            )
    clock = gr.Timer(1)
    shown = gr.State("")
    settings = [method, size, harmful, normal, harmful_file, normal_file, preservation, steps, rate, seed, probe]
    watched = [doing, cancel, curves, probes, heat, chosen, beside, table, past, stages, shown]

    def look(request: gr.Request, name: str | None, others: list[str], before: str) -> list[Any]:
        return _look(jobs, gate.owner(who(request)), name, others or [], before)

    def begin(request: gr.Request, *values: Any) -> Any:
        return run_actions.start_run(jobs, gate, who(request), TrainForm(*values))

    def halt(request: gr.Request) -> None:
        run_actions.cancel_run(jobs, gate.owner(who(request)))

    def again(request: gr.Request, name: str | None) -> None:
        run_actions.resume_run(jobs, gate, who(request), name)

    def drop(request: gr.Request, name: str | None) -> Any:
        return run_actions.delete_run(jobs, gate.owner(who(request)), name) if name else gr.skip()

    def pack(request: gr.Request, name: str | None) -> Any:
        return run_actions.download_run(jobs, gate, gate.owner(who(request)), name)

    def fill(request: gr.Request, name: str | None) -> list[Any]:
        return run_actions.refill_form(jobs, gate.owner(who(request)), name)

    clock.tick(look, [chosen, beside, shown], watched, queue=False, **_QUIET)
    gr.on([method.change, size.change], form.method_summary, [method, size], minimises, queue=False, **_QUIET)
    for source, file in ((harmful, harmful_file), (normal, normal_file)):
        source.change(lambda name: gr.File(visible=name == UPLOAD_LABEL), source, file, queue=False, **_QUIET)
    harmful_file.change(lambda path: _preview("harmful", path), harmful_file, [said, preview], **_QUIET)
    normal_file.change(lambda path: _preview("normal", path), normal_file, [said, preview], **_QUIET)
    gr.on(
        [part.change for part in (method, size, harmful, normal, harmful_file, normal_file, preservation, steps)],
        lambda *values: form.estimate_text(TrainForm(*values)),
        settings,
        expected,
        queue=False,
        **_QUIET,
    )
    start.click(begin, settings, chosen, api_visibility="private").then(
        look, [chosen, beside, shown], watched, **_QUIET
    )
    cancel.click(halt, None, None, **_QUIET)
    resume.click(again, chosen, None, **_QUIET)
    rerun.click(fill, chosen, settings, **_QUIET)
    download.click(pack, chosen, package, **_QUIET)
    delete.click(drop, chosen, chosen, js=_CONFIRM, **_QUIET)
    return jobs


def _upload(kind: str) -> gr.File:
    return gr.File(
        label=f"{kind} pairs: JSONL or CSV with columns prompt and answer"
        + (", better with safe_answer too" if kind == "harmful" else ""),
        file_types=[".jsonl", ".csv", ".json"],
        visible=False,
        elem_id=f"{kind}-file",
        height=120,
    )


def _preview(kind: Any, path: str | None) -> list[Any]:
    try:
        rows, said = form.preview_file(kind, path)
    except (ValueError, OSError) as error:
        return [f"<p class='fault'>{html.escape(str(error))}</p>", gr.Dataframe(visible=False)]
    return [f"<p>{html.escape(said)}</p>" if said else "", gr.Dataframe(rows, visible=bool(rows))]


def _look(jobs: TrainingJobs, owner: str | None, name: str | None, others: Sequence[str], before: str) -> list[Any]:
    """Updates of everything watched; what has not changed since `before` is left alone, so that nothing flickers."""
    every = jobs.all(owner)
    names = [job.name for job in every]
    live = next((job for job in every if job.live), None)
    job = next((job for job in every if job.name == name), live or (every[0] if every else None))
    busy = owner is not None and live is None and jobs.live() is not None
    more = [one for one in every if one.name in others and one != job]
    now = (
        "|".join(f"{j.name} {j.state} {j.step}" for j in every)
        + f"|{name}|{others}|{busy}|{job.message if job else ''}"
    )
    if now == before:
        return [gr.skip()] * 10 + [before]
    return [
        run_status.status_html(job, busy),
        gr.Button(visible=live is not None),
        gr.Plot(run_status.loss_plot(job, more), visible=True) if job else gr.Plot(visible=False),
        run_status.probe_table(job),
        _heat(job),
        # a choice is left alone where it stands for a run: it may be newer than this answer
        gr.Dropdown(choices=names) if name in names else gr.Dropdown(choices=names, value=job.name if job else None),
        gr.Dropdown(choices=[one for one in names if job is None or one != job.name]),
        [run_status.run_row(j) for j in every],
        gr.Column(visible=bool(every)),
        gr.HTML(visible=not every),
        now,
    ]


def _heat(job: TrainingJob | None) -> Any:
    return run_status.norm_plot(job) if job and not job.live else gr.skip()
