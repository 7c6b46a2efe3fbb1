"""One column of Compare: its components, and the updates that put a variant into it. It does not ask the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges
from sku.ui.compare.asking import ColumnUpdate
from sku.ui.compare.clipboard import COPY_LABEL
from sku.ui.compare.column_variant import ColumnVariant, catalog_variant
from sku.ui.compare.controls import INITIAL_COLUMNS
from sku.ui.events import Updates, Values

SWEEP_LABEL = "Sweep 0 to 3 on this prompt"
"""A button that was not visible gets its text anew, or it would be empty."""
_SLIDER_END = 3.0
"""The largest coefficient on the slider. If a variant has a larger one, the slider is extended to it."""


STAR = "★"


@dataclass(frozen=True)
class SweepRow:
    """Asks one prompt at several coefficients, and shows what became of each answer."""

    button: gr.Button
    marks: gr.Radio
    """One option per coefficient, with the outcome's mark; hidden until it was asked for."""


@dataclass(frozen=True)
class ColumnComponents:
    """The components of one column."""

    column: gr.Column
    heading: gr.HTML
    variant: gr.Dropdown
    """An entry of the list, or a text such as `ga@0.5+sku@1`."""
    held: gr.State
    """The `ColumnVariant` that the heading and the slider show."""
    choice_count: gr.State
    """The number of variants chosen so far for this column. Whenever it changes, the column is asked."""
    pill: gr.HTML
    """The verdict on the answer; empty until there is one."""
    start: gr.HTML
    """The beginning of the answer that the attack had written; empty if there is none."""
    answer: gr.Textbox
    copy: gr.Button
    """Copies the answer, whole and without HTML."""
    fold: gr.HTML
    """Covers the answer while it is hidden; empty if it is not."""
    view: gr.HTML
    """Covers the answer while another view is chosen."""
    facts: gr.HTML
    sample: gr.Radio
    """Chooses which of several samples is shown."""
    slider: gr.Slider
    sweep: SweepRow

    @property
    def holding(self) -> set[gr.components.Component]:
        """The components that `hold` and `choose` update."""
        return {
            self.variant,
            self.held,
            self.choice_count,
            self.slider,
            self.heading,
            self.sweep.button,
            self.sweep.marks,
        }

    @property
    def answering(self) -> set[gr.components.Component]:
        """The components that `show` updates."""
        return {self.pill, self.start, self.answer, self.facts, self.fold}

    def hold(self, variant: ColumnVariant, entries: Sequence[CatalogEntry]) -> Updates:
        """Updates that put `variant` into the column and `entries` into its list."""
        coefficient = variant.coefficient
        options = variant_options(entries)
        slider = {} if coefficient is None else {"value": coefficient, "maximum": max(_SLIDER_END, coefficient)}
        return {
            self.variant: gr.Dropdown(choices=options, value=variant.list_value, allow_custom_value=True),
            self.held: variant,
            self.slider: gr.Slider(visible=coefficient is not None, info=slider_info(variant, entries), **slider),
            self.sweep.button: gr.Button(SWEEP_LABEL, visible=coefficient is not None),
            self.sweep.marks: gr.Radio(visible=False),
            self.heading: badges.variant_heading(variant),
        }

    def choose(self, variant: ColumnVariant, entries: Sequence[CatalogEntry], values: Values) -> Updates:
        """The same updates as `hold`, and one that makes the page ask the column."""
        return {**self.hold(variant, entries), self.choice_count: values[self.choice_count] + 1}

    def show(self, update: ColumnUpdate) -> Updates:
        """Updates of the answer, what stands above it and the lines below it."""
        parts = {self.start: update.start, self.answer: update.answer}
        parts |= {self.facts: update.facts, self.pill: update.pill, self.fold: update.fold}
        return {component: value for component, value in parts.items() if value is not None}


def variant_options(entries: Sequence[CatalogEntry]) -> list[tuple[str, str]]:
    """The options of a list of variants: pairs of label and value."""
    return [(badges.variant_option(entry), entry.name) for entry in entries]


def lay_out_column(i: int, name: str, entries: Sequence[CatalogEntry]) -> ColumnComponents:
    """Lay out column `i` with the variant called `name`, or with the base if there is no such variant."""
    variant = catalog_variant(next((entry for entry in entries if entry.name == name), entries[0]))
    visible = i < INITIAL_COLUMNS
    with gr.Column(min_width=260, elem_classes="variant-column", elem_id=f"column-{i}", visible=visible) as column:
        heading = gr.HTML(badges.variant_heading(variant), elem_id=f"heading-{i}")
        with gr.Row(elem_classes="variant-row"):
            choice = _variant_list(i, variant, entries)
            slider = _coefficient_slider(i, variant, entries)
        held, choice_count = gr.State(variant), gr.State(0)
        pill = gr.HTML(elem_id=f"pill-{i}", elem_classes="pill-line")
        start = gr.HTML(elem_id=f"start-{i}", elem_classes="answer-start")
        with gr.Column(elem_classes="stage"):
            answer = _answer_box(i)
            fold = gr.HTML(elem_id=f"fold-{i}", elem_classes="cover")
            view = gr.HTML(visible=False, elem_id=f"view-{i}", elem_classes="view")
        copy = gr.Button(COPY_LABEL, size="sm", elem_id=f"copy-{i}", elem_classes="copy", min_width=60)
        facts = gr.HTML(" ", elem_id=f"facts-{i}", elem_classes="facts")
        sample = gr.Radio([], label="Sample", visible=False, elem_id=f"pick-{i}", elem_classes="pick")
        sweep = _sweep_row(i, variant)
    return ColumnComponents(
        column=column,
        heading=heading,
        variant=choice,
        held=held,
        choice_count=choice_count,
        pill=pill,
        start=start,
        answer=answer,
        copy=copy,
        fold=fold,
        view=view,
        facts=facts,
        sample=sample,
        slider=slider,
        sweep=sweep,
    )


def _variant_list(i: int, variant: ColumnVariant, entries: Sequence[CatalogEntry]) -> gr.Dropdown:
    return gr.Dropdown(
        variant_options(entries),
        value=variant.list_value,
        label=f"Variant of column {i + 1}",
        show_label=False,
        allow_custom_value=True,
        elem_id=f"variant-{i}",
        min_width=120,
    )


def _answer_box(i: int) -> gr.Textbox:
    return gr.Textbox(
        label=f"Answer in column {i + 1}",
        show_label=False,
        lines=9,
        max_lines=9,
        interactive=False,
        placeholder="The answer appears here.",
        elem_id=f"answer-{i}",
        elem_classes="answer",
    )


def slider_info(variant: ColumnVariant, entries: Sequence[CatalogEntry]) -> str:
    """The line below the slider's label: which coefficient is recommended."""
    best = [entry.default_coefficient for entry in entries if entry.name in variant.names and entry.method]
    return f"{STAR} {best[0]:g} recommended" if best else ""


def _sweep_row(i: int, variant: ColumnVariant) -> SweepRow:
    return SweepRow(
        button=gr.Button(
            SWEEP_LABEL,
            size="sm",
            visible=variant.coefficient is not None,
            elem_id=f"sweep-{i}",
            elem_classes="sweep-button",
        ),
        marks=gr.Radio(
            [],
            label="Outcome at each coefficient; choose one to set the slider",
            visible=False,
            elem_id=f"sweep-marks-{i}",
            elem_classes="sweep",
        ),
    )


def _coefficient_slider(i: int, variant: ColumnVariant, entries: Sequence[CatalogEntry]) -> gr.Slider:
    return gr.Slider(
        0,
        _SLIDER_END,
        variant.coefficient or 0.0,
        step=0.05,
        label="Coefficient",
        info=slider_info(variant, entries),
        visible=variant.coefficient is not None,
        elem_id=f"coefficient-{i}",
        min_width=150,
    )
