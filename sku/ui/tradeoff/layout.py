"""Lays out and names the components of Trade-off. It does not wire events."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.core.records import OWN_SIDE
from sku.reporting.utilities import UTILITIES
from sku.ui import clickable_plot, sortable_table
from sku.ui.tradeoff import results_table
from sku.ui.tradeoff.view import BARS, PLANE

SIDES = ("test", "more test", "more test, rated", "validation", OWN_SIDE)
OPENED_COLUMNS = (2, 3)
"""The columns of Compare, counted from 1, in which a point can be opened."""
ALL_METHODS, MAIN_METHODS = "all methods", "main methods only"
"""What the button does next."""
_LEGEND = (
    "<p>“Choose methods” shows the marker of each method. Dotted line: Pareto front; no variant reaches the shaded "
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
    known: gr.Textbox
    """The names of the checkboxes on the screen, one per line. A kind of row that is not among them is new, and is
    drawn at once. It is a hidden box and not a state, because the browser then sends it together with the ticks: a
    state on the server can be newer than ticks that are on their way."""
    all_methods: gr.Button
    repeats: gr.Checkbox
    """Whether the study's other seeds and its checkpoints are drawn."""
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
    table: gr.HTML
    """The sortable table. Its event names the variant of the row that was clicked."""

    @property
    def selection(self) -> set[gr.components.Component]:
        """The components that decide what is drawn."""
        chosen = {self.utility, self.side, self.figure, self.methods, self.known, self.repeats}
        return chosen | {self.point, self.limit}

    @property
    def drawn(self) -> set[gr.components.Component]:
        """The components that a redraw updates."""
        shown = {self.note, self.picture, self.choosing, self.point, self.download, self.table}
        buttons = {self.open_best, self.all_methods, *self.openers.values()}
        return shown | buttons | {self.methods, self.known, self.finding, self.best}


def lay_out_tradeoff() -> TradeoffComponents:
    """Lay out the tab."""
    with gr.Row(elem_id="finding-row"):
        limit = gr.Number(
            10, label="Harmful rate under, %", minimum=0, maximum=100, scale=0, min_width=190, elem_id="limit"
        )
        finding = gr.HTML(elem_id="best")
        open_best = gr.Button("Open in Compare", size="sm", scale=0, min_width=140, visible=False, elem_id="open-best")
    with gr.Row(elem_id="measure-row"):
        utility, side, figure = _utility(), _side(), _figure()
    with gr.Row(elem_id="lines-row"):
        all_methods = gr.Button(ALL_METHODS, size="sm", scale=0, min_width=130, elem_id="all-methods")
        repeats = gr.Checkbox(False, label="other seeds and checkpoints", elem_id="repeats", scale=0, min_width=240)
    with gr.Accordion("Choose methods", open=False, elem_id="choose-methods"):
        methods = gr.CheckboxGroup([], show_label=False, container=False, elem_id="trade-methods")
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
        known=gr.Textbox(visible="hidden", elem_id="known-methods"),
        all_methods=all_methods,
        repeats=repeats,
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
        table=sortable_table.sortable_table("rows"),
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
        info="All are held out from training. more test: a larger set for the shipped variants, by judge or by "
        "ratings. own: prompts that you measured below",
        elem_id="side",
    )


def _figure() -> gr.Radio:
    info = "the harmful rate against a utility, or the outcomes of all answers"
    return gr.Radio([PLANE, BARS], value=PLANE, label="Figure", info=info, elem_id="drawn")


def opener_label(column: int) -> str:
    """What the button that opens a point says; columns are counted from 0."""
    return f"Open in column {column + 1}"


def _point() -> gr.Dropdown:
    return gr.Dropdown(
        [],
        value=None,
        label="Chosen point",
        info="Gets whiskers in the figure. A click on a mark, or on a variant in the table, opens it in column 3.",
        elem_id="point",
        interactive=True,
        scale=3,
    )


def _openers() -> dict[int, gr.Button]:
    return {
        number - 1: gr.Button(
            opener_label(number - 1), elem_id=f"open-{number}", min_width=150, scale=1, interactive=False
        )
        for number in OPENED_COLUMNS
    }
