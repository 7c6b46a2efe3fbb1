"""Trade-off: harmful rate against what forgetting cost, of the recorded study and of the visitor's own evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr

from sku.core import runs
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting.markers import method_marker
from sku.reporting.outcome_bars import outcome_figure
from sku.reporting.text import row_line
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import UTILITIES
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import clickable_plot, glossary
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.visitors import visitor_of
from sku.ui.tradeoff import evaluate_panel, results_table

_SIDES = ("test", "more test", "more test, rated", "validation")
_PLANE, _BARS = "trade-off", "outcomes"


_SIGNS = (
    "<p>Signs as in the list of methods above. Dotted line: front. Crossed out: broken. Ring: shipped default. "
    "▼ with a number: that column of Compare.</p>"
)


class TradeoffTab(NamedTuple):
    """What the frame of the page connects."""

    point: gr.Dropdown
    """Holds the chosen variant."""
    openers: list[gr.Button]
    """One a column of Compare that a point may open in: the second and the third."""
    picture: gr.HTML
    """Tells which mark was clicked."""
    look: Callable[..., list[Any]]
    """Draws anew what files hold by now."""
    inputs: list[Any]
    outputs: list[Any]
    refresh: Callable[..., Any]
    """An update of `names`."""
    names: gr.Dropdown
    """Variants that can be measured."""


def build_tradeoff(
    gate: Gate, choices: Callable[[gr.Request], list[CatalogEntry]], columns: Sequence[Any], model: str
) -> TradeoffTab:
    """Lay the tab out and wire what is in it.

    Args:
        gate: what visitors may do.
        choices: variants that a visitor may ask.
        columns: of Compare their number, their variants, then their coefficients.
        model: base of the variants.
    """
    with gr.Row(elem_id="measure-row"):
        utility = gr.Dropdown(
            [(found.label, name) for name, found in UTILITIES.items()],
            value="kl",
            label="Utility",
            info=_meaning("kl"),
            elem_id="utility",
        )
        side = gr.Radio(
            list(_SIDES),
            value="test",
            label="Prompts",
            info="held out from every training; more test: what is shipped, by the judge or by ratings",
            elem_id="side",
        )
        drawn = gr.Radio(
            [_PLANE, _BARS],
            value=_PLANE,
            label="Figure",
            info="what each cost, or what became of all answers",
            elem_id="drawn",
        )
    methods = gr.CheckboxGroup([], label="Methods", elem_id="trade-methods")
    note = gr.HTML(results_table.NO_STUDY, elem_id="study-note")
    picture = clickable_plot.clickable_plot("trade-off")
    gr.HTML(_SIGNS, elem_id="trade-signs", padding=False)  # where the screen is too narrow for a legend
    with gr.Row(visible=False, elem_id="open-row") as choosing:
        point = gr.Dropdown(
            [],
            value=None,
            label="Open in Compare",
            info="or click a mark of the figure: it opens in column 3",
            elem_id="point",
            interactive=True,
            scale=3,
        )
        openers = [
            gr.Button(f"Open in column {column}", elem_id=f"open-{column}", min_width=150, scale=1) for column in (2, 3)
        ]
    download = gr.HTML(elem_id="download")
    table = gr.Dataframe(interactive=False, elem_id="rows", show_label=False, visible=False)
    known = gr.State([])
    inputs = [utility, side, drawn, methods, known, point, *columns]
    outputs = [methods, known, note, picture, choosing, point, download, table]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def draw(request: gr.Request, *values: Any) -> list[Any]:
        return tradeoff_view(gate.owner(visitor_of(request, gate.hosting.proxy)), *values)

    glossary.glossary_line(
        *("trade-off", "front", "utility", "harmful rate", "broken", "unjudged", "held out", "seed"),
        *(found.label for found in UTILITIES.values()),
    )
    names = evaluate_panel.build_evaluate(gate, choices, lambda event: event(draw, inputs, outputs, **quiet), model)
    gr.on(
        [utility.input, side.input, drawn.input, methods.input],
        draw,
        inputs,
        outputs,
        trigger_mode="always_last",
        **quiet,
    )
    utility.input(lambda name: gr.Dropdown(info=_meaning(name)), utility, utility, **quiet)
    table.select(_row_chosen, None, point, **quiet)

    def refresh(request: gr.Request) -> Any:
        return evaluate_panel.variant_choices(choices(request))

    return TradeoffTab(point, openers, picture, draw, inputs, outputs, refresh, names)


def tradeoff_view(
    owner: str | None,
    utility: str,
    side: str,
    drawn: str,
    chosen: list[str],
    known: list[str],
    point: str | None,
    *columns: Any,
) -> list[Any]:
    """Updates of everything in the tab, from the files as they are now."""
    found = results_table.load_measured(owner)
    kinds = found.boxes()
    wanted = [name for name in kinds if name in chosen or name not in known]
    study, own = found.shown(side, wanted)
    if drawn == _BARS:
        figure = outcome_figure([*study, *own])
    else:
        figure = tradeoff_figure(study, utility, _standing(columns), own, runs.shipped_variants())
    points: dict[str, str] = {}
    for row, mine in results_table.mark_own(study, own):  # of two rows of one variant the study's
        points.setdefault(row.variant, row_line(row, utility) + mine)
    listed = [(text, variant) for variant, text in points.items()]
    boxes = gr.CheckboxGroup([(f"{_mark(row)} {name}", name) for name, row in kinds.items()], value=wanted)
    return [
        gr.skip() if list(kinds) == known else boxes,  # an answer that comes late undoes no newer click
        list(kinds),
        results_table.notes_html(found, study, own, utility, side),
        figure.update_layout(meta=results_table.figure_description([*study, *own], utility), uirevision=drawn).to_json()
        if study or own
        else "",
        gr.Row(visible=bool(points)),
        gr.Dropdown(listed) if point is None or point in points else gr.Dropdown(listed, value=None),
        results_table.csv_link(study, own),
        gr.Dataframe(results_table.table_cells(study, own), visible=bool(study or own)),
    ]


def _mark(row: ResultRow) -> str:
    return method_marker(row.method, row.preservation).mark


def _standing(columns: Sequence[Any]) -> list[str]:
    """Compare's columns as variants: their number, their variants, their coefficients."""
    if not columns:
        return []
    count, *rest = columns
    half = len(rest) // 2
    pairs = list(zip(rest[:half], rest[half:], strict=True))[:count]
    return [name if name == BASE else f"{name}@{coefficient:g}" for name, coefficient in pairs]


def _meaning(utility: str) -> str:
    found = UTILITIES[utility]
    return f"{found.meaning}; {'less' if found.better == 'low' else 'more'} is better"


def _row_chosen(event: gr.SelectData) -> str:
    """A row of the table is as good as a point."""
    return str(event.row_value[0])
