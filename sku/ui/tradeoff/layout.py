"""Lays out and names the components of Trade-off. It does not wire events."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.reporting.utilities import UTILITIES
from sku.ui import clickable_plot
from sku.ui.tradeoff import results_table
from sku.ui.tradeoff.view import BARS, PLANE

SIDES = ("test", "more test", "more test, rated", "validation")
OPENED_COLUMNS = (2, 3)
"""The columns of Compare, counted from 1, in which a point can be opened."""
_LEGEND = (
    "<p>Each method has the marker that the list above shows. Dotted line: Pareto front; no variant reaches the shaded "
    "part. Crossed-out marker: broken. Ring: shipped default. ▼ with a number: shown in that column of Compare.</p>"
)


@dataclass(frozen=True)
class TradeoffComponents:
    """All components of the tab that are read or changed, except the panel that measures."""

    utility: gr.Dropdown
    side: gr.Radio
    """The prompt set that the rows were measured on."""
    figure: gr.Radio
    """The kind of figure."""
    methods: gr.CheckboxGroup
    known: gr.State
    """The names of the checkboxes on the screen. A kind of row that is not among them is new, and is drawn at once."""
    all_methods: gr.Button
    limit: gr.Number
    """The harmful rate, in percent, below which the least cost is looked for."""
    finding: gr.HTML
    best: gr.State
    """The variant with the least cost below the limit; None if there is none."""
    open_best: gr.Button
    note: gr.HTML
    picture: gr.HTML
    """The figure. Its event names the mark that was clicked."""
    choosing: gr.Row
    """Contains `point` and `openers`; hidden while there is no point."""
    point: gr.Dropdown
    openers: dict[int, gr.Button]
    """Maps a column of Compare, counted from 0, to the button that opens the point there."""
    download: gr.HTML
    table: gr.Dataframe

    @property
    def selection(self) -> set[gr.components.Component]:
        """The components that decide what is drawn."""
        return {self.utility, self.side, self.figure, self.methods, self.known, self.point, self.limit}

    @property
    def drawn(self) -> set[gr.components.Component]:
        """The components that a redraw updates."""
        shown = {self.note, self.picture, self.choosing, self.point, self.download, self.table}
        return shown | {self.methods, self.known, self.finding, self.best, self.open_best}


def lay_out_tradeoff() -> TradeoffComponents:
    """Lay out the tab."""
    with gr.Row(elem_id="finding-row"):
        limit = gr.Number(
            10, label="Harmful rate under, %", minimum=0, maximum=100, scale=0, min_width=150, elem_id="limit"
        )
        finding = gr.HTML(elem_id="best")
        open_best = gr.Button("Open in Compare", size="sm", scale=0, min_width=140, visible=False, elem_id="open-best")
    with gr.Row(elem_id="measure-row"):
        utility, side, figure = _utility(), _side(), _figure()
    methods = gr.CheckboxGroup([], label="Methods", elem_id="trade-methods")
    all_methods = gr.Button("all methods", size="sm", scale=0, min_width=110, elem_id="all-methods")
    note = gr.HTML(results_table.NO_STUDY, elem_id="study-note")
    picture = clickable_plot.clickable_plot("trade-off")
    gr.HTML(_LEGEND, elem_id="trade-signs", padding=False)  # for screens that are too narrow for the figure's legend
    with gr.Row(visible=False, elem_id="open-row") as choosing:
        point, openers = _point(), _openers()
    return TradeoffComponents(
        utility=utility,
        side=side,
        figure=figure,
        methods=methods,
        known=gr.State([]),
        all_methods=all_methods,
        limit=limit,
        finding=finding,
        best=gr.State(None),
        open_best=open_best,
        note=note,
        picture=picture,
        choosing=choosing,
        point=point,
        openers=openers,
        download=gr.HTML(elem_id="download"),
        table=gr.Dataframe(interactive=False, elem_id="rows", show_label=False, visible=False),
    )


def utility_meaning(name: str) -> str:
    """What a utility measures, and which direction is better."""
    utility = UTILITIES[name]
    return f"{utility.meaning}; {'lower' if utility.better == 'low' else 'higher'} is better"


def _utility() -> gr.Dropdown:
    return gr.Dropdown(
        [(utility.label, name) for name, utility in UTILITIES.items()],
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
        info="All are held out from training. more test: a larger set for the shipped variants, by judge or by ratings",
        elem_id="side",
    )


def _figure() -> gr.Radio:
    info = "the harmful rate against a utility, or the outcomes of all answers"
    return gr.Radio([PLANE, BARS], value=PLANE, label="Figure", info=info, elem_id="drawn")


def _point() -> gr.Dropdown:
    return gr.Dropdown(
        [],
        value=None,
        label="Open in Compare",
        info="You can also click a mark in the figure, which opens it in column 3.",
        elem_id="point",
        interactive=True,
        scale=3,
    )


def _openers() -> dict[int, gr.Button]:
    return {
        number - 1: gr.Button(f"Open in column {number}", elem_id=f"open-{number}", min_width=150, scale=1)
        for number in OPENED_COLUMNS
    }
