"""The Robustness tab: a matrix of variants and attacks, what relearning and rounding do, and a panel that attacks."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.reporting.result_files import RECORDED
from sku.ui import glossary
from sku.ui.compare.interface import CompareInterface
from sku.ui.events import QUIET, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.robustness.attack_panel import build_attack_panel
from sku.ui.robustness.layout import RobustnessComponents, lay_out_robustness
from sku.ui.robustness.matrix_table import clicked_cell
from sku.ui.robustness.view import Choices, RobustnessSelection, RobustnessView, robustness_view
from sku.ui.tab_context import TabContext

_OPENED_COLUMN = 2
"""The column of Compare, counted from 0, in which a clicked cell opens."""
_WORDS = (
    "attack", "recovery", "worst case", "harmful rate", "broken", "off-topic", "likelihood", "relearning", "k*",
    "rounding", "survival", "random vector", "held out",
)  # fmt: skip


def build_robustness(context: TabContext, tab: gr.Tab) -> None:
    """Lay out the tab and wire its events."""
    parts = lay_out_robustness()
    handlers = RobustnessHandlers(parts, context.access)
    draw: dict[str, Any] = {"fn": handlers.draw, "inputs": parts.selection, "outputs": parts.drawn, **QUIET}
    changed = [part.input for part in (parts.measurement, parts.attacks, parts.relearning, parts.rounding)]
    gr.on(changed, **draw, trigger_mode="always_last")
    tab.select(**draw)
    if context.access.gate.hosting.attacks:
        finished = build_attack_panel(context, tab)
        finished(**draw)
    glossary.glossary_line(*_WORDS)
    _open_clicked_cell(parts, context.compare)


class RobustnessHandlers:
    """The handler that redraws the tab."""

    def __init__(self, components: RobustnessComponents, access: Access) -> None:
        self.components, self.access = components, access

    def draw(self, request: gr.Request, values: Values) -> Updates:
        """Redraw everything in the tab from the current files."""
        parts = self.components
        selection = RobustnessSelection(
            measurement=values[parts.measurement],
            attacks=values[parts.attacks],
            relearning=values[parts.relearning],
            rounding=values[parts.rounding],
            model=self.access.session.model_name or None,
        )
        openable = {entry.name for entry in self.access.entries(request)}
        return view_updates(parts, robustness_view(self.access.owner(request), selection, openable), selection)


def view_updates(parts: RobustnessComponents, view: RobustnessView, selection: RobustnessSelection) -> Updates:
    """Updates that show `view`. They send back no valid choice, so a late response cannot undo a newer click."""
    has_choice = any(name != RECORDED for _, name in view.measurements)
    return {
        parts.sentence: view.sentence,
        parts.measurement: _list(view.measurements, view.measurement, selection.measurement, has_choice),
        parts.attacks: gr.Radio(visible=view.has_more_attacks),
        parts.table: view.table,
        parts.legend: gr.HTML(visible=bool(view.table)),
        parts.note: view.note,
        parts.figures: gr.Row(visible=bool(view.curves or view.survival)),
        parts.relearning: _list(view.relearnings, view.relearning, selection.relearning, bool(view.curves)),
        parts.curves: view.curves,
        parts.rounding: _list(view.roundings, view.rounding, selection.rounding, bool(view.survival)),
        parts.survival: view.survival,
        parts.download: view.download,
    }


def _list(options: Choices, shown: str | None, wanted: str | None, visible: bool) -> gr.Dropdown:
    if shown == wanted:
        return gr.Dropdown(options, visible=visible)
    return gr.Dropdown(options, value=shown, visible=visible)


def _open_clicked_cell(parts: RobustnessComponents, compare: CompareInterface) -> None:
    """Open the variant of a clicked cell in Compare, under the attack of the cell if Compare offers it."""
    variant, attack = gr.State(None), gr.State(None)
    clicked = parts.table.cell_click(clicked_cell, None, [variant, attack], **QUIET)
    compare.open_on(clicked.success, _OPENED_COLUMN, variant, attack)
