"""Lays out the row that orders a training: preset, data, method and Start, and the settings below it. Wires nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.config import PRESETS, TrainConfig
from sku.core.records import PairKind
from sku.ui.events import Values
from sku.ui.train import form
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
    base: gr.State
    harmful_prompt: gr.Dropdown
    harmful_answer: gr.Dropdown
    normal_prompt: gr.Dropdown
    normal_answer: gr.Dropdown
    all_rows: gr.Checkbox

    @property
    def by_name(self) -> dict[str, gr.components.Component]:
        """All settings, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def file(self, kind: PairKind) -> gr.File:
        """The upload of one kind of pairs."""
        return self.harmful_file if kind == "harmful" else self.normal_file

    def column_lists(self, kind: PairKind) -> tuple[gr.Dropdown, gr.Dropdown]:
        """The lists of columns for an own file of one kind: of prompts, and of answers."""
        if kind == "harmful":
            return self.harmful_prompt, self.harmful_answer
        return self.normal_prompt, self.normal_answer

    @property
    def all(self) -> set[gr.components.Component]:
        """All settings, as the inputs or outputs of an event."""
        return set(self.by_name.values())

    def read(self, values: Values) -> TrainForm:
        """The form as the visitor filled it in."""
        return TrainForm(**{name: values[component] for name, component in self.by_name.items()})


@dataclass(frozen=True)
class OwnFilePanel:
    """Shows an own file before it is used; hidden until one is chosen as data."""

    panel: gr.Column
    note: gr.HTML
    table: gr.Dataframe


@dataclass(frozen=True)
class OrderForm:
    """The row that orders a training, and what belongs to it."""

    form: FormComponents
    start: gr.Button
    estimate: gr.HTML
    limits: gr.HTML
    """What a visitor of a public page may do; hidden on a page without limits."""
    own_file: OwnFilePanel
    method_summary: gr.Markdown


def lay_out_form(presets: Sequence[str], training: bool, base: str, limits_text: str) -> OrderForm:
    """Lay out the row that orders a training, what it will cost, and the other settings.

    Args:
        presets: the names of the presets to offer.
        training: whether visitors can start trainings.
        base: the base that the page has loaded.
        limits_text: what a visitor of a public page may do, before the page knows its visitor.
    """
    with gr.Row(elem_id="order"):
        size = gr.Dropdown(_preset_options(presets), value="quick", label="Preset", elem_id="preset", min_width=160)
        harmful = gr.Dropdown(
            list(HARMFUL_SOURCES.items()), value=INITIAL_FORM.harmful, label="Data", elem_id="harmful", min_width=160
        )
        method = gr.Dropdown(
            form.method_options(), value=INITIAL_FORM.method, label="Method", elem_id="method", min_width=160
        )
        start = gr.Button("Start", variant="primary", elem_id="start", interactive=training, min_width=110, scale=0)
    estimate = gr.HTML(
        lambda: form.estimate_text(dataclasses.replace(INITIAL_FORM, base=base)),
        elem_id="expected",
        elem_classes="facts",
    )  # gradio calls this function at every page load
    limits = gr.HTML(limits_text, elem_id="limits", elem_classes="facts", visible=bool(limits_text))
    with gr.Column(visible=False, elem_id="own-file") as panel:
        harmful_file, harmful_columns = _upload("harmful"), _column_lists("harmful")
        all_rows = gr.Checkbox(
            False, label="Use all rows", info="Train on every row, and keep none to measure with.", elem_id="all-rows"
        )
        note = gr.HTML(elem_id="preview-said")
        table = gr.Dataframe(visible=False, interactive=False, show_label=False, elem_id="preview")
    with gr.Accordion(
        "More: normal pairs, preservation, steps, learning rate, seed, probe", open=False, elem_id="more"
    ):
        summary = gr.Markdown(form.method_summary(INITIAL_FORM.method, INITIAL_FORM.size), elem_classes="facts")
        normal = gr.Dropdown(
            list(NORMAL_SOURCES.items()), value=INITIAL_FORM.normal, label="Normal pairs", elem_id="normal"
        )
        normal_file, normal_columns = _upload("normal"), _column_lists("normal")
        preservation = _preservation()
        more = _more_settings()
    settings = FormComponents(
        method=method,
        size=size,
        harmful=harmful,
        normal=normal,
        harmful_file=harmful_file,
        normal_file=normal_file,
        preservation=preservation,
        base=gr.State(base),
        all_rows=all_rows,
        **more,
        **harmful_columns,
        **normal_columns,
    )
    return OrderForm(settings, start, estimate, limits, OwnFilePanel(panel, note, table), summary)


def _preset_options(presets: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{name}: {PRESETS[name].note}", name) for name in presets]


def _upload(kind: str) -> gr.File:
    return gr.File(
        label=f"{kind} pairs: JSONL, CSV or JSON",
        file_types=[".jsonl", ".csv", ".tsv", ".json"],
        visible=False,
        elem_id=f"{kind}-file",
        height=120,
    )


def _column_lists(kind: str) -> dict[str, Any]:
    """Two lists to choose the columns of an own file, by the names of their fields; hidden until there is a file."""
    lists: dict[str, Any] = {"visible": False, "interactive": True, "allow_custom_value": True}
    with gr.Row(elem_id=f"{kind}-columns"):
        return {
            f"{kind}_{field}": gr.Dropdown([], label=f"Column of the {field}s", elem_id=f"{kind}-{field}", **lists)
            for field in ("prompt", "answer")
        }


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
    with gr.Row():
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
