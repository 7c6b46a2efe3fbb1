"""Turns a visitor's selection into what Trade-off shows: figure, table, points and notes. It uses no components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from sku.core import runs
from sku.core.records import ResultRow
from sku.reporting.markers import method_marker
from sku.reporting.outcome_bars import outcome_figure
from sku.reporting.row_text import row_line
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.ui.tradeoff import results_table

PLANE, BARS = "trade-off", "outcomes"


@dataclass(frozen=True)
class TradeoffSelection:
    """What the visitor wants to see."""

    utility: str = "kl"
    side: str = "test"
    figure: str = PLANE
    methods: Sequence[str] = ()
    """The ticked checkboxes."""
    known: Sequence[str] = ()
    """All checkboxes on the screen. A checkbox that is not among them is new and counts as ticked."""
    standing: Sequence[str] = ()
    """The variants in Compare's columns."""
    model: str | None = None
    """The base that the page runs. Rows of other bases are not shown; None shows all."""


@dataclass(frozen=True)
class TradeoffView:
    """What the tab shows."""

    boxes: dict[str, str]
    """Maps the name of each checkbox to its label, which starts with the method's marker."""
    ticked: list[str]
    note: str
    figure: str
    """JSON for plotly; empty if there are no rows."""
    points: dict[str, str]
    """Maps a variant to its line in the list of points."""
    download: str
    table: dict[str, Any]
    """The table's headers and data."""


def tradeoff_view(owner: str | None, selection: TradeoffSelection) -> TradeoffView:
    """What a visitor sees, read from the current files.

    Args:
        owner: the visitor whose own rows are shown; None shows all.
        selection: what the visitor wants to see.
    """
    everything = results_table.load_measured(owner)
    measured = everything if selection.model is None else everything.of_base(selection.model)
    boxes = measured.boxes()
    ticked = [name for name in boxes if name in selection.methods or name not in selection.known]
    study, own = measured.shown(selection.side, ticked)
    return TradeoffView(
        boxes={name: f"{method_marker(row.method, row.preservation).mark} {name}" for name, row in boxes.items()},
        ticked=ticked,
        note=results_table.other_base_html(everything.study, measured.study, selection.model)
        or results_table.notes_html(measured, study, own, selection.utility, selection.side),
        figure=_figure_json(study, own, selection) if study or own else "",
        points=_points(study, own, selection.utility),
        download=results_table.csv_link(study, own),
        table=results_table.table_cells(study, own),
    )


def _figure_json(study: Sequence[ResultRow], own: Sequence[ResultRow], selection: TradeoffSelection) -> str:
    rows = [*study, *own]
    if selection.figure == BARS:
        figure: go.Figure = outcome_figure(rows)
    else:
        figure = tradeoff_figure(study, selection.utility, selection.standing, own, runs.shipped_variants())
    description = results_table.figure_description(rows, selection.utility)
    figure_json: str = figure.update_layout(meta=description, uirevision=selection.figure).to_json()
    return figure_json


def _points(study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str) -> dict[str, str]:
    points: dict[str, str] = {}
    for row, suffix in results_table.mark_own(study, own):  # if a variant has two rows, the study's wins
        points.setdefault(row.variant, row_line(row, utility) + suffix)
    return points
