"""Lays out the progress of a run, what can be done with it, and the list of runs. Wires nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.ui import about, glossary
from sku.ui.train import run_status

OPEN_LABEL = "Open beside base and SKU"


@dataclass(frozen=True)
class RunPanel:
    """The progress of the chosen run, and what can be done with runs."""

    limits: gr.HTML
    """That of `OrderForm`: a start or a cancel changes it."""
    status: gr.HTML
    cancel: gr.Button
    result: gr.HTML
    """What was measured of the chosen run; empty until it is finished."""
    open: gr.Button
    """Opens the chosen run in Compare, beside the base and SKU."""
    measure: gr.Button
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
        shown = {self.limits, self.status, self.cancel, self.result, self.open, self.measure, self.stages, self.curves}
        return shown | {self.probes, self.past, self.table, self.norms} | self.choice


def lay_out_runs(limits: gr.HTML) -> RunPanel:
    """Lay out the progress and the list of runs. The line of limits, above Start, is kept up to date with them."""
    with gr.Row(elem_id="now"):
        status = gr.HTML(elem_id="doing-box")
        cancel = gr.Button("Cancel", size="sm", elem_id="cancel", visible=False)
    with gr.Row(elem_id="done"):
        result = gr.HTML(elem_id="result")
        opener = gr.Button(OPEN_LABEL, size="sm", elem_id="open-run", visible=False, scale=0, min_width=210)
        measure = gr.Button("Measure", size="sm", elem_id="measure-run", visible=False, scale=0, min_width=230)
    stages = gr.HTML(about.diagram_html(), elem_classes="stages", padding=False)
    with gr.Row(elem_id="watch"):
        with gr.Column(min_width=300):
            probes = gr.HTML(elem_id="probes")
        with gr.Column(min_width=300):
            curves = gr.Plot(show_label=False, elem_id="curves", buttons=[], visible=False)
    with gr.Column(visible=False) as past:
        run_lists, actions = _run_lists(), _run_actions()
        package = gr.File(visible=False, label="Adapter and card", elem_id="package", interactive=False)
        table = gr.Dataframe(headers=run_status.RUN_HEADERS, interactive=False, elem_id="runs", show_label=False)
        with gr.Accordion("Where the weights changed: norm of the task vector by layer and module", open=False):
            norms = gr.Plot(show_label=False, elem_id="heat", buttons=[])
    return RunPanel(
        limits=limits,
        status=status,
        cancel=cancel,
        result=result,
        open=opener,
        measure=measure,
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


def lay_out_words() -> None:
    """The words of the tab, each with its meaning."""
    glossary.glossary_line(
        *("run", "preset", "harmful pairs", "normal pairs", "method", "term", "preservation", "acquired"),
        *("task vector", "negated", "probe", "gradient norm"),
    )


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
