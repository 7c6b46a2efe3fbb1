"""The columns of Compare: their components, and the updates that put a variant into one. Asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from sku.core.variants import BASE, MAX_COEFFICIENT, parse_variant
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import badges
from sku.ui.compare.ask_handlers import MAX_COLUMNS

DEFAULT_VARIANTS = (BASE, "ga", "sku", "keep", "tv", "ga_mismatch")
"""What a column holds before anyone chose."""
SLIDER_END = 3.0
INITIAL_COLUMNS = 3
"""Columns that are there at first."""


class ColumnComponents(NamedTuple):
    """The components of one column."""

    column: gr.Column
    variant: gr.Dropdown
    slider: gr.Slider
    heading: gr.HTML
    answer: gr.Textbox
    view: gr.HTML
    """Lies over the answer while another view is chosen."""
    facts: gr.HTML
    pick: gr.Radio
    """Which of several samples is shown."""


def build_columns(choices: Sequence[CatalogEntry]) -> list[ColumnComponents]:
    """Lay six columns out, of which the first three show."""
    with gr.Row(elem_id="columns", equal_height=False):
        return [_panel(i, choices) for i in range(MAX_COLUMNS)]


def variant_options(choices: Sequence[CatalogEntry]) -> list[tuple[str, str]]:
    """Entries of a list of variants."""
    return [(badges.variant_option(choice), choice.name) for choice in choices]


def find_entry(choices: Sequence[CatalogEntry], name: Any) -> CatalogEntry:
    """The choice called `name`, else the base."""
    return next((choice for choice in choices if choice.name == name), choices[0])


def slider_and_heading(choice: CatalogEntry, coefficient: float) -> list[Any]:
    """Updates of a column's slider and heading."""
    slider = gr.Slider(value=coefficient, maximum=max(SLIDER_END, coefficient), visible=choice.method is not None)
    return [slider, badges.variant_heading(choice, coefficient)]


def choose_variant(choices: Sequence[CatalogEntry], name: Any) -> list[Any]:
    """Updates of slider and heading when another variant is chosen."""
    choice = find_entry(choices, name)
    return slider_and_heading(choice, min(choice.default_coefficient, MAX_COEFFICIENT))


def place_variant(choices: Sequence[CatalogEntry], text: str | None) -> list[Any]:
    """Updates of a column's variant, slider and heading that put the variant `text` there.

    Raises:
        ValueError: if nothing is chosen, or it is not on this machine.
    """
    if not text:
        raise ValueError("no point is chosen; choose one from the list, or a row of the table")
    part = parse_variant(text).only_part
    choice = next((choice for choice in choices if part and choice.name == part.name), None)
    if choice is None or part is None or part.acquired:
        raise ValueError(f"{text} was measured elsewhere: its weights are not on this machine; choose a shipped point")
    coefficient = choice.default_coefficient if part.coefficient is None else part.coefficient
    return [gr.Dropdown(choices=variant_options(choices), value=choice.name), *slider_and_heading(choice, coefficient)]


def _panel(i: int, choices: Sequence[CatalogEntry]) -> ColumnComponents:
    choice = find_entry(choices, DEFAULT_VARIANTS[i])
    with gr.Column(
        min_width=260, elem_classes="variant-column", elem_id=f"column-{i}", visible=i < INITIAL_COLUMNS
    ) as column:
        heading = gr.HTML(badges.variant_heading(choice, choice.default_coefficient), elem_id=f"heading-{i}")
        variant = gr.Dropdown(
            variant_options(choices),
            value=choice.name,
            label=f"Variant of column {i + 1}",
            show_label=False,
            elem_id=f"variant-{i}",
        )
        with gr.Column(elem_classes="stage"):
            answer = gr.Textbox(
                label=f"Answer in column {i + 1}",
                show_label=False,
                lines=9,
                max_lines=9,
                interactive=False,
                placeholder="The answer streams here.",
                elem_id=f"answer-{i}",
                elem_classes="answer",
                buttons=["copy"],
            )
            view = gr.HTML(visible=False, elem_id=f"view-{i}", elem_classes="view")
        facts = gr.HTML(" ", elem_id=f"facts-{i}", elem_classes="facts")
        pick = gr.Radio([], label="Sample", visible=False, elem_id=f"pick-{i}", elem_classes="pick")
        slider = gr.Slider(
            0,
            SLIDER_END,
            choice.default_coefficient,
            step=0.05,
            label="Coefficient",
            info="times what it learned; 0 is base",
            visible=choice.method is not None,
            elem_id=f"coefficient-{i}",
        )
    return ColumnComponents(column, variant, slider, heading, answer, view, facts, pick)
