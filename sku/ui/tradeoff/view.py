"""Turns a visitor's selection into what Trade-off shows: figure, table, points and notes. It uses no components."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from sku.core import runs
from sku.core.records import ResultRow
from sku.core.variants import BASE, parse_variant
from sku.reporting.formatting import percent, with_unit
from sku.reporting.markers import method_marker
from sku.reporting.outcome_bars import outcome_figure
from sku.reporting.pareto import least_cost, pareto_front
from sku.reporting.row_text import row_line
from sku.reporting.tradeoff_plot import MAIN_RUNS, tradeoff_figure
from sku.reporting.utilities import UTILITIES
from sku.serving.variant_catalog import SHIPPED_LABELS
from sku.ui.sortable_table import table_value
from sku.ui.tradeoff import results_table

MAX_BARS = 8
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
    limit: float = 0.1
    """The harmful rate below which the least cost is looked for."""
    repeats: bool = True
    """Whether the study's other seeds and its checkpoints are drawn."""
    chosen: str | None = None
    """The variant whose mark has whiskers, beside the recommended ones."""
    openable: Collection[str] | None = None
    """The adapters that this visitor may open in Compare; None: all."""

    def can_open(self, variant: str) -> bool:
        """Whether Compare can show `variant`: all its adapters are on this machine."""
        return self.openable is None or set(parse_variant(variant).names) <= {*self.openable, BASE}


@dataclass(frozen=True)
class TradeoffView:
    """What the tab shows."""

    boxes: dict[str, str]
    """Maps the name of each checkbox to its label, which starts with the method's marker."""
    ticked: list[str]
    finding: str
    """The variant with the least cost below the limit, as HTML."""
    best: str | None
    """That variant; None if there is none, or it cannot be opened."""
    note: str
    figure: str
    """JSON for plotly; empty if there are no rows."""
    points: dict[str, str]
    """Maps a variant to its line in the list of points."""
    download: str
    table: str
    """The value of the sortable table; empty if there are no rows."""


def tradeoff_view(owner: str | None, selection: TradeoffSelection) -> TradeoffView:
    """What a visitor sees, read from the current files.

    Args:
        owner: the visitor whose own rows are shown; None shows all.
        selection: what the visitor wants to see.
    """
    everything = results_table.load_measured(owner)
    measured = everything if selection.model is None else everything.of_base(selection.model)
    boxes = measured.boxes()
    ticked = [
        name
        for name, row in boxes.items()
        if name in selection.methods or (name not in selection.known and is_drawn_first(row, measured.own))
    ]
    study, own = measured.shown(selection.side, ticked, selection.repeats)
    best = least_cost([*study, *own], selection.utility, selection.limit)
    return TradeoffView(
        boxes={
            name: f"{method_marker(row.method, row.preservation).mark} {SHIPPED_LABELS.get(row.run, name)}"
            for name, row in boxes.items()
        },
        ticked=ticked,
        finding=finding_html(best, selection),
        best=best.variant if best and selection.can_open(best.variant) else None,
        note=results_table.other_base_html(everything.study, measured.study, selection.model)
        or results_table.notes_html(measured, study, own, selection.utility, selection.side),
        figure=_figure_json(study, own, selection) if study or own else "",
        points=_points(study, own, selection),
        download=results_table.download_link(study, own),
        table=_table(study, own, selection),
    )


def is_drawn_first(row: ResultRow, own: Sequence[ResultRow]) -> bool:
    """Whether the kind of `row` is drawn before the visitor has chosen: the main runs, and the visitor's own."""
    return row.run in MAIN_RUNS or row in own


def main_boxes(names: Sequence[str]) -> list[str]:
    """Those of the checkboxes that are ticked at first."""
    measured = results_table.load_measured(None)
    return [name for name, row in measured.boxes().items() if name in names and is_drawn_first(row, measured.own)]


def finding_html(best: ResultRow | None, selection: TradeoffSelection) -> str:
    """One sentence: which variant has the least cost below the limit, and what it costs."""
    start = f"Least cost with a harmful rate under {selection.limit:.0%}".replace("%", " %")
    if best is None:
        return f"{start}: none of the variants that are drawn."
    utility = UTILITIES[selection.utility]
    cost = f"{utility.label} {with_unit(utility.value(best), utility.unit)}"
    rate = f"harmful {percent(best.harmful_rate)} of {best.n}"
    return f"{start}: <b>{html.escape(best.variant)}</b>, {rate}, {html.escape(cost)}."


def bar_rows(rows: Sequence[ResultRow], utility: str) -> list[ResultRow]:
    """At most eight rows for the bars: the base and the recommended variants, then the Pareto front, then others."""
    recommended = {parse_variant(text) for text in runs.shipped_variants()}
    first = [i for i, row in enumerate(rows) if row.method == BASE or parse_variant(row.variant) in recommended]
    front = [rows.index(row) for row in pareto_front(rows, utility)]
    chosen = list(dict.fromkeys([*first, *front, *range(len(rows))]))[:MAX_BARS]
    return [rows[i] for i in sorted(chosen)]


def _figure_json(study: Sequence[ResultRow], own: Sequence[ResultRow], selection: TradeoffSelection) -> str:
    rows = [*study, *own]
    if selection.figure == BARS:
        figure: go.Figure = outcome_figure(bar_rows(rows, selection.utility), selection.can_open)
    else:
        figure = tradeoff_figure(
            study,
            selection.utility,
            selection.standing,
            own,
            runs.shipped_variants(),
            MAIN_RUNS,
            selection.chosen,
            selection.can_open,
        )
    description = results_table.figure_description(rows, selection.utility)
    figure_json: str = figure.update_layout(meta=description, uirevision=selection.figure).to_json()
    return figure_json


def _table(study: Sequence[ResultRow], own: Sequence[ResultRow], selection: TradeoffSelection) -> str:
    cells = results_table.table_cells(study, own, selection.utility)
    return table_value(cells["headers"], cells["data"], selection.can_open)


def _points(study: Sequence[ResultRow], own: Sequence[ResultRow], selection: TradeoffSelection) -> dict[str, str]:
    points: dict[str, str] = {}
    for row, suffix in results_table.mark_own(study, own):  # if a variant has two rows, the study's wins
        note = "" if selection.can_open(row.variant) else " (recorded; its weights are not on this machine)"
        points.setdefault(row.variant, row_line(row, selection.utility) + suffix + note)
    return points
