"""The Trade-off tab: plots harmful rate against cost, for the recorded study and the visitor's own evaluations."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.reporting.utilities import UTILITIES
from sku.ui import clickable_plot, glossary
from sku.ui.compare.interface import CompareInterface
from sku.ui.events import QUIET, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.tab_context import TabContext
from sku.ui.tradeoff.evaluate_panel import build_evaluate
from sku.ui.tradeoff.layout import (
    ALL_METHODS,
    MAIN_METHODS,
    TradeoffComponents,
    lay_out_tradeoff,
    opener_label,
    utility_meaning,
)
from sku.ui.tradeoff.view import TradeoffSelection, TradeoffView, main_boxes, tradeoff_view

_CLICKED_COLUMN = 2
"""The column of Compare, counted from 0, in which a clicked mark opens."""


def build_tradeoff(context: TabContext, tab: gr.Tab) -> None:
    """Lay out the tab and wire its events."""
    parts = lay_out_tradeoff()
    glossary.glossary_line(
        *("trade-off", "front", "utility", "harmful rate", "broken", "unjudged", "held out", "seed"),
        *(utility.label for utility in UTILITIES.values()),
    )
    measured = build_evaluate(context, tab)
    handlers = TradeoffHandlers(parts, context.access, context.compare)
    draw: dict[str, Any] = {"fn": handlers.draw, "inputs": handlers.inputs, "outputs": parts.drawn, **QUIET}
    chosen = (parts.utility, parts.side, parts.figure, parts.methods, parts.repeats, parts.limit, parts.point)
    changed = [part.input for part in chosen]
    gr.on(changed, **draw, trigger_mode="always_last")
    for event in (tab.select, measured):
        event(**draw)
    ticked = parts.all_methods.click(handlers.tick, {parts.methods, parts.known}, parts.methods, **QUIET)
    ticked.then(**draw)
    parts.utility.input(lambda name: gr.Dropdown(info=utility_meaning(name)), parts.utility, parts.utility, **QUIET)
    _wire_openers(parts, context.compare)


class TradeoffHandlers:
    """The handler that redraws the tab."""

    def __init__(self, components: TradeoffComponents, access: Access, compare: CompareInterface) -> None:
        self.components, self.access, self.compare = components, access, compare

    @property
    def inputs(self) -> set[gr.components.Component]:
        """The components whose values `draw` needs."""
        return self.components.selection | self.compare.inputs

    def tick(self, values: Values) -> list[str]:
        """Tick all methods; if all are ticked, leave only those that are drawn first."""
        parts = self.components
        known = _names(values[parts.known])
        return known if set(values[parts.methods]) != set(known) else main_boxes(known)

    def draw(self, request: gr.Request, values: Values) -> Updates:
        """Redraw everything in the tab from the current files."""
        parts = self.components
        selection = TradeoffSelection(
            utility=values[parts.utility],
            side=values[parts.side],
            figure=values[parts.figure],
            methods=values[parts.methods],
            known=_names(values[parts.known]),
            standing=self.compare.standing(values),
            model=self.access.session.model_name or None,
            limit=_share(values[parts.limit]),
            repeats=bool(values[parts.repeats]),
            chosen=values[parts.point],
            openable={entry.name for entry in self.access.entries(request)},
        )
        view = tradeoff_view(self.access.owner(request), selection)
        return view_updates(parts, view, selection, values[parts.point])


def view_updates(
    parts: TradeoffComponents, view: TradeoffView, selection: TradeoffSelection, point: str | None
) -> Updates:
    """Updates that show `view`. They send back no valid choice, so a late response cannot undo a newer click.

    Args:
        parts: the components.
        view: what to show.
        selection: what the visitor wanted to see.
        point: the chosen point.
    """
    point_options = [(line, variant) for variant, line in view.points.items()]
    still_valid = point is None or point in view.points
    opens = point in view.points and selection.can_open(str(point))
    same_boxes = list(view.boxes) == list(selection.known)
    boxes = [(label, name) for name, label in view.boxes.items()]
    return {
        parts.methods: gr.skip() if same_boxes else gr.CheckboxGroup(boxes, value=view.ticked),
        parts.known: "\n".join(view.boxes),
        parts.finding: view.finding,
        parts.best: view.best,
        parts.open_best: gr.Button("Open in Compare", visible=view.best is not None),
        parts.note: view.note,
        parts.picture: view.figure,
        parts.choosing: gr.Row(visible=bool(view.points)),
        parts.point: gr.Dropdown(point_options) if still_valid else gr.Dropdown(point_options, value=None),
        parts.download: view.download,
        parts.table: view.table,
        parts.all_methods: MAIN_METHODS if set(view.ticked) == set(view.boxes) else ALL_METHODS,
        **{button: gr.Button(opener_label(i), interactive=opens) for i, button in parts.openers.items()},
    }


def _wire_openers(parts: TradeoffComponents, compare: CompareInterface) -> None:
    for i, opener in parts.openers.items():
        compare.open_on(opener.click, i, parts.point)
    compare.open_on(parts.open_best.click, _CLICKED_COLUMN, parts.best)
    mark = gr.State(None)
    for event in (parts.picture.point_click, parts.table.row_click):
        clicked = event(clickable_plot.clicked, None, mark, **QUIET)
        compare.open_on(clicked.success, _CLICKED_COLUMN, mark)


def _names(lines: Any) -> list[str]:
    """The names in the hidden box, one per line."""
    return lines.splitlines() if isinstance(lines, str) else []


def _share(percent: Any) -> float:
    """A share from a percentage that a visitor gave; 10 % if it is not a number from 0 to 100."""
    valid = isinstance(percent, (int, float)) and 0 <= percent <= 100
    return percent / 100 if valid else TradeoffSelection.limit
