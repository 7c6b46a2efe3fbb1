"""The components of Trade-off, laid out and named. Wires nothing."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.reporting.utilities import UTILITIES
from sku.ui import clickable_plot
from sku.ui.tradeoff import results_table
from sku.ui.tradeoff.view import BARS, PLANE

SIDES = ("test", "more test", "more test, rated", "validation")
OPENED_COLUMNS = (2, 3)
"""Columns of Compare, from 1, that a point may open in."""
_SIGNS = (
    "<p>Signs as in the list of methods above. Dotted line: front. Crossed out: broken. Ring: shipped default. "
    "▼ with a number: that column of Compare.</p>"
)


@dataclass(frozen=True)
class TradeoffComponents:
    """All components that are read or changed, the panel that measures aside."""

    utility: gr.Dropdown
    side: gr.Radio
    """Which prompts the rows were measured on."""
    figure: gr.Radio
    """Which figure is drawn."""
    methods: gr.CheckboxGroup
    known: gr.State
    """Names of the boxes that the visitor has been shown: a new kind of row is drawn at once."""
    note: gr.HTML
    picture: gr.HTML
    """Tells which mark was clicked."""
    choosing: gr.Row
    """Holds `point` and `openers`; hidden while there is no point."""
    point: gr.Dropdown
    openers: dict[int, gr.Button]
    """Column of Compare, from 0, to the button that opens the point there."""
    download: gr.HTML
    table: gr.Dataframe

    @property
    def selection(self) -> set[gr.components.Component]:
        """What tells what to draw."""
        return {self.utility, self.side, self.figure, self.methods, self.known, self.point}

    @property
    def drawn(self) -> set[gr.components.Component]:
        """What is drawn anew."""
        shown = {self.note, self.picture, self.choosing, self.point, self.download, self.table}
        return shown | {self.methods, self.known}


def lay_out_tradeoff() -> TradeoffComponents:
    """Lay the tab out."""
    with gr.Row(elem_id="measure-row"):
        utility, side, figure = _utility(), _side(), _figure()
    methods = gr.CheckboxGroup([], label="Methods", elem_id="trade-methods")
    note = gr.HTML(results_table.NO_STUDY, elem_id="study-note")
    picture = clickable_plot.clickable_plot("trade-off")
    gr.HTML(_SIGNS, elem_id="trade-signs", padding=False)  # where the screen is too narrow for a legend
    with gr.Row(visible=False, elem_id="open-row") as choosing:
        point, openers = _point(), _openers()
    return TradeoffComponents(
        utility=utility,
        side=side,
        figure=figure,
        methods=methods,
        known=gr.State([]),
        note=note,
        picture=picture,
        choosing=choosing,
        point=point,
        openers=openers,
        download=gr.HTML(elem_id="download"),
        table=gr.Dataframe(interactive=False, elem_id="rows", show_label=False, visible=False),
    )


def utility_meaning(name: str) -> str:
    """What a utility is, and which way is better."""
    found = UTILITIES[name]
    return f"{found.meaning}; {'less' if found.better == 'low' else 'more'} is better"


def _utility() -> gr.Dropdown:
    return gr.Dropdown(
        [(found.label, name) for name, found in UTILITIES.items()],
        value="kl",
        label="Utility",
        info=utility_meaning("kl"),
        elem_id="utility",
    )


def _side() -> gr.Radio:
    return gr.Radio(
        list(SIDES),
        value="test",
        label="Prompts",
        info="held out from every training; more test: what is shipped, by the judge or by ratings",
        elem_id="side",
    )


def _figure() -> gr.Radio:
    info = "what each cost, or what became of all answers"
    return gr.Radio([PLANE, BARS], value=PLANE, label="Figure", info=info, elem_id="drawn")


def _point() -> gr.Dropdown:
    return gr.Dropdown(
        [],
        value=None,
        label="Open in Compare",
        info="or click a mark of the figure: it opens in column 3",
        elem_id="point",
        interactive=True,
        scale=3,
    )


def _openers() -> dict[int, gr.Button]:
    return {
        number - 1: gr.Button(f"Open in column {number}", elem_id=f"open-{number}", min_width=150, scale=1)
        for number in OPENED_COLUMNS
    }
