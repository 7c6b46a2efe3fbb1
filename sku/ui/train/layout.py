"""Lays out and names the components of Pipeline. It does not wire events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.config import PRESETS, TrainConfig
from sku.ui import about, glossary
from sku.ui.events import Values
from sku.ui.train import form, run_status
from sku.ui.train.form import HARMFUL_SOURCES, INITIAL_FORM, NORMAL_SOURCES, TrainForm


@dataclass(frozen=True)
class FormComponents:
    """The training settings: one component for each field of `TrainForm`, with the same name."""

    method: gr.Dropdown
    size: gr.Dropdown
    harmful: gr.Dropdown
    normal: gr.Dropdown
    harmful_file: gr.File
    normal_file: gr.File
    preservation: gr.Radio
    steps: gr.Number
    rate: gr.Number
    seed: gr.Number
    probe: gr.Textbox

    @property
    def by_name(self) -> dict[str, gr.components.Component]:
        """All settings, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def all(self) -> set[gr.components.Component]:
        """All settings, as the inputs or outputs of an event."""
        return set(self.by_name.values())

    def read(self, values: Values) -> TrainForm:
        """The form as the visitor filled it in."""
        return TrainForm(**{name: values[component] for name, component in self.by_name.items()})


@dataclass(frozen=True)
class FormColumn:
    """The left column: the settings with their previews, the method's summary, the estimate and the start button."""

    form: FormComponents
    preview_note: gr.HTML
    preview: gr.Dataframe
    method_summary: gr.Markdown
    estimate: gr.HTML
    start: gr.Button


@dataclass(frozen=True)
class RunColumn:
    """The right column: the progress of the chosen run, and what can be done with runs."""

    status: gr.HTML
    cancel: gr.Button
    stages: gr.HTML
    """A diagram of the method's two stages, shown until there is a run."""
    curves: gr.Plot
    probes: gr.HTML
    past: gr.Column
    """Contains everything below; hidden until there is a run."""
    run: gr.Dropdown
    beside: gr.Dropdown
    """Other runs whose losses are plotted together with those of `run`."""
    resume: gr.Button
    rerun: gr.Button
    download: gr.Button
    delete: gr.Button
    package: gr.File
    table: gr.Dataframe
    norms: gr.Plot
    clock: gr.Timer
    seen: gr.State
    """A fingerprint of what the page shows. While it stays the same, nothing is redrawn."""

    @property
    def choice(self) -> set[gr.components.Component]:
        """The components that decide which runs are shown."""
        return {self.run, self.beside, self.seen}

    @property
    def watched(self) -> set[gr.components.Component]:
        """The components that change while a run is in progress."""
        shown = {self.status, self.cancel, self.stages, self.curves, self.probes, self.past, self.table, self.norms}
        return shown | self.choice


def lay_out_form(presets: Sequence[str], training: bool) -> FormColumn:
    """Lay out the form.

    Args:
        presets: the names of the presets to offer.
        training: whether visitors can start trainings.
    """
    with gr.Column(scale=2, min_width=300):
        _heading("1 Model")
        size = gr.Dropdown(_preset_options(presets), value="quick", label="Preset and model", elem_id="preset")
        _heading("2 Data")
        harmful = gr.Dropdown(list(HARMFUL_SOURCES.items()), value="bundled", label="Harmful pairs", elem_id="harmful")
        harmful_file = _upload("harmful")
        normal = gr.Dropdown(list(NORMAL_SOURCES.items()), value="self", label="Normal pairs", elem_id="normal")
        normal_file = _upload("normal")
        preview_note = gr.HTML(elem_id="preview-said")
        preview = gr.Dataframe(headers=["prompt", "answer"], visible=False, interactive=False, elem_id="preview")
        _heading("3 Method")
        method = gr.Dropdown(form.method_options(), value=INITIAL_FORM.method, label="Method", elem_id="method")
        summary = gr.Markdown(form.method_summary(INITIAL_FORM.method, INITIAL_FORM.size), elem_classes="facts")
        preservation = _preservation()
        more = _more_settings()
        _heading("4 Run")
        estimate = gr.HTML(
            lambda: form.estimate_text(INITIAL_FORM), elem_id="expected", elem_classes="facts"
        )  # gradio calls this function at every page load
        start = gr.Button("Start", variant="primary", elem_id="start", interactive=training)
    settings = FormComponents(
        method=method,
        size=size,
        harmful=harmful,
        normal=normal,
        harmful_file=harmful_file,
        normal_file=normal_file,
        preservation=preservation,
        **more,
    )
    return FormColumn(settings, preview_note, preview, summary, estimate, start)


def lay_out_runs() -> RunColumn:
    """Lay out the column of runs."""
    with gr.Column(scale=3, min_width=320):
        status = gr.HTML(elem_id="doing-box")
        cancel = gr.Button("Cancel", size="sm", elem_id="cancel", visible=False)
        stages = gr.HTML(about.diagram_html(), elem_classes="stages", padding=False)
        curves = gr.Plot(show_label=False, elem_id="curves", buttons=[], visible=False)
        probes = gr.HTML(elem_id="probes")
        with gr.Column(visible=False) as past:
            run_lists, actions = _run_lists(), _run_actions()
            package = gr.File(visible=False, label="Adapter and card", elem_id="package", interactive=False)
            table = gr.Dataframe(headers=run_status.RUN_HEADERS, interactive=False, elem_id="runs", show_label=False)
            with gr.Accordion("Where the weights changed: norm of the task vector by layer and module", open=False):
                norms = gr.Plot(show_label=False, elem_id="heat", buttons=[])
        glossary.glossary_line(
            *("run", "preset", "harmful pairs", "normal pairs", "method", "term", "preservation", "acquired"),
            *("task vector", "negated", "probe", "gradient norm"),
        )
    return RunColumn(
        status=status,
        cancel=cancel,
        stages=stages,
        curves=curves,
        probes=probes,
        past=past,
        package=package,
        table=table,
        norms=norms,
        clock=gr.Timer(1),
        seen=gr.State(""),
        **run_lists,
        **actions,
    )


def _heading(text: str) -> None:
    gr.HTML(f"<h3>{text}</h3>", padding=False)


def _preset_options(presets: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{name} · {PRESETS[name].config().model}: {PRESETS[name].note}", name) for name in presets]


def _upload(kind: str) -> gr.File:
    return gr.File(
        label=f"{kind} pairs: JSONL or CSV with the columns prompt and answer"
        + (", and ideally safe_answer" if kind == "harmful" else ""),
        file_types=[".jsonl", ".csv", ".json"],
        visible=False,
        elem_id=f"{kind}-file",
        height=120,
    )


def _preservation() -> gr.Radio:
    return gr.Radio(
        ["keep", "push", "off"],
        value="keep",
        label="Preservation",
        info="Stage 1 keeps the model near the base on normal text, pushes it away (as published), or does neither.",
        elem_id="preservation",
    )


def _more_settings() -> dict[str, Any]:
    """The components for steps, learning rate, seed and probe, by the names of their fields."""
    with gr.Accordion("More: steps, learning rate, seed, probe", open=False):
        return {
            "steps": gr.Number(
                0,
                precision=0,
                minimum=0,
                maximum=1000,
                label="Steps",
                info="0 uses the preset's value",
                elem_id="steps",
            ),
            "rate": gr.Number(0, minimum=0, maximum=0.1, label="Learning rate", info="0 uses the preset's value"),
            "seed": gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed"),
            "probe": gr.Textbox(
                TrainConfig.probe,
                label="Probe",
                max_length=form.MAX_PROBE_CHARACTERS,
                info="A prompt that the model answers at intervals during training, so that you can watch it forget.",
            ),
        }


def _run_lists() -> dict[str, gr.Dropdown]:
    # Custom values are allowed because a late update may bring a list that does not contain a newer value yet.
    both: dict[str, Any] = {"interactive": True, "allow_custom_value": True, "scale": 2}
    with gr.Row(elem_id="run-names"):
        return {
            "run": gr.Dropdown([], label="Run", elem_id="run", **both),
            "beside": gr.Dropdown([], label="Compare with", multiselect=True, max_choices=5, elem_id="beside", **both),
        }


def _run_actions() -> dict[str, gr.Button]:
    labels = {"resume": "Resume", "rerun": "Rerun with changes", "download": "Download adapter", "delete": "Delete"}
    with gr.Row(elem_id="run-actions"):
        return {name: gr.Button(label, size="sm", min_width=80, elem_id=name) for name, label in labels.items()}
