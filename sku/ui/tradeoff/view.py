"""What Trade-off shows of measured rows: from a selection to figure, table, points and notes. Knows no component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from sku.core import runs
from sku.core.records import ResultRow
from sku.reporting.markers import method_marker
from sku.reporting.outcome_bars import outcome_figure
from sku.reporting.text import row_line
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.ui.tradeoff import results_table

PLANE, BARS = "trade-off", "outcomes"


@dataclass(frozen=True)
class TradeoffSelection:
    """What a visitor wants to see."""

    utility: str = "kl"
    side: str = "test"
    figure: str = PLANE
    methods: Sequence[str] = ()
    """Boxes that are ticked."""
    known: Sequence[str] = ()
    """Boxes that there were to tick; a new one counts as ticked."""
    standing: Sequence[str] = ()
    """The variants of Compare's columns."""


@dataclass(frozen=True)
class TradeoffView:
    """What there is to show."""

    boxes: dict[str, str]
    """Name of every kind of row to its label with its sign."""
    ticked: list[str]
    note: str
    figure: str
    """JSON for plotly; empty where there is no row."""
    points: dict[str, str]
    """Variant to its line in the list of points."""
    download: str
    table: dict[str, Any]
    """Headers and data."""


def tradeoff_view(owner: str | None, wanted: TradeoffSelection) -> TradeoffView:
    """What a visitor sees, from the files as they are now.

    Args:
        owner: whose own rows are shown; None: all.
        wanted: the selection.
    """
    found = results_table.load_measured(owner)
    kinds = found.boxes()
    ticked = [name for name in kinds if name in wanted.methods or name not in wanted.known]
    study, own = found.shown(wanted.side, ticked)
    return TradeoffView(
        boxes={name: f"{method_marker(row.method, row.preservation).mark} {name}" for name, row in kinds.items()},
        ticked=ticked,
        note=results_table.notes_html(found, study, own, wanted.utility, wanted.side),
        figure=_figure_json(study, own, wanted) if study or own else "",
        points=_points(study, own, wanted.utility),
        download=results_table.csv_link(study, own),
        table=results_table.table_cells(study, own),
    )


def _figure_json(study: Sequence[ResultRow], own: Sequence[ResultRow], wanted: TradeoffSelection) -> str:
    both = [*study, *own]
    if wanted.figure == BARS:
        figure: go.Figure = outcome_figure(both)
    else:
        figure = tradeoff_figure(study, wanted.utility, wanted.standing, own, runs.shipped_variants())
    description = results_table.figure_description(both, wanted.utility)
    drawn: str = figure.update_layout(meta=description, uirevision=wanted.figure).to_json()
    return drawn


def _points(study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str) -> dict[str, str]:
    points: dict[str, str] = {}
    for row, mine in results_table.mark_own(study, own):  # of two rows of one variant the study's
        points.setdefault(row.variant, row_line(row, utility) + mine)
    return points
