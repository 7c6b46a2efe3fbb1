"""Trade-off: harmful rate against what forgetting cost, of the recorded study and of the visitor's own evaluations."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.reporting.utilities import UTILITIES
from sku.ui import clickable_plot, glossary
from sku.ui.compare.interface import CompareInterface
from sku.ui.events import QUIET, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.tabs import TabContext
from sku.ui.tradeoff.evaluate_panel import build_evaluate
from sku.ui.tradeoff.layout import TradeoffComponents, lay_out_tradeoff, utility_meaning
from sku.ui.tradeoff.view import TradeoffSelection, TradeoffView, tradeoff_view

_CLICKED_COLUMN = 2
"""Column of Compare, from 0, that a clicked mark opens in."""


def build_tradeoff(context: TabContext, tab: gr.Tab) -> None:
    """Lay the tab out and wire it."""
    parts = lay_out_tradeoff()
    glossary.glossary_line(
        *("trade-off", "front", "utility", "harmful rate", "broken", "unjudged", "held out", "seed"),
        *(found.label for found in UTILITIES.values()),
    )
    measured = build_evaluate(context, tab)
    handlers = TradeoffHandlers(parts, context.access, context.compare)
    draw: dict[str, Any] = {"fn": handlers.draw, "inputs": handlers.inputs, "outputs": parts.drawn, **QUIET}
    changed = [part.input for part in (parts.utility, parts.side, parts.figure, parts.methods)]
    gr.on(changed, **draw, trigger_mode="always_last")
    for event in (tab.select, measured):
        event(**draw)
    parts.utility.input(lambda name: gr.Dropdown(info=utility_meaning(name)), parts.utility, parts.utility, **QUIET)
    parts.table.select(_row_chosen, None, parts.point, **QUIET)
    _wire_openers(parts, context.compare)


class TradeoffHandlers:
    """Draw the tab anew."""

    def __init__(self, components: TradeoffComponents, access: Access, compare: CompareInterface) -> None:
        self.components, self.access, self.compare = components, access, compare

    @property
    def inputs(self) -> set[gr.components.Component]:
        """What `draw` needs."""
        return self.components.selection | self.compare.inputs

    def draw(self, request: gr.Request, values: Values) -> Updates:
        """Everything in the tab, from the files as they are now."""
        parts = self.components
        wanted = TradeoffSelection(
            utility=values[parts.utility],
            side=values[parts.side],
            figure=values[parts.figure],
            methods=values[parts.methods],
            known=values[parts.known],
            standing=self.compare.standing(values),
        )
        found = tradeoff_view(self.access.owner(request), wanted)
        return view_updates(parts, found, wanted.known, values[parts.point])


def view_updates(parts: TradeoffComponents, found: TradeoffView, known: Any, point: str | None) -> Updates:
    """Updates that show `found`; a late answer undoes no newer click.

    Args:
        parts: the components.
        found: what there is to show.
        known: names of the boxes that are on the screen.
        point: the chosen point.
    """
    listed = [(line, variant) for variant, line in found.points.items()]
    kept = point is None or point in found.points
    same_boxes = list(found.boxes) == list(known)
    boxes = [(label, name) for name, label in found.boxes.items()]
    return {
        parts.methods: gr.skip() if same_boxes else gr.CheckboxGroup(boxes, value=found.ticked),
        parts.known: list(found.boxes),
        parts.note: found.note,
        parts.picture: found.figure,
        parts.choosing: gr.Row(visible=bool(found.points)),
        parts.point: gr.Dropdown(listed) if kept else gr.Dropdown(listed, value=None),
        parts.download: found.download,
        parts.table: gr.Dataframe(found.table, visible=bool(found.figure)),
    }


def _wire_openers(parts: TradeoffComponents, compare: CompareInterface) -> None:
    for i, opener in parts.openers.items():
        compare.open_on(opener.click, i, parts.point)
    mark = gr.State(None)
    clicked = parts.picture.point_click(clickable_plot.clicked, None, mark, **QUIET)
    compare.open_on(clicked.success, _CLICKED_COLUMN, mark)


def _row_chosen(event: gr.SelectData) -> str:
    """A row of the table is as good as a point."""
    return str(event.row_value[0])
