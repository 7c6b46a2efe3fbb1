"""What is drawn over the marks of the trade-off: front, broken answers, shipped defaults, where Compare stands."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sku.core.records import ResultRow
from sku.core.variants import parse_variant
from sku.reporting.coefficient_lines import CostAxis, point_on_line
from sku.reporting.pareto import MAX_EXCESS_BROKEN, base_row, is_broken_model, pareto_front
from sku.reporting.theme import INK_COLOUR

_RING, _CROSS = 26, 19


def point_places(rows: Sequence[ResultRow], by: CostAxis) -> dict[str, list[float | None]]:
    """Where rows are drawn."""
    return {"x": [by.of(row) for row in rows], "y": [row.harmful_rate for row in rows]}


def add_pareto_front(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis) -> None:
    """A dotted line through the rows that no other beats."""
    best = pareto_front(rows, by.utility)
    if best:
        figure.add_scatter(
            **point_places(best, by),
            mode="lines",
            line={"color": INK_COLOUR, "width": 1.5, "dash": "dot", "shape": "vh"},
            customdata=[row.variant for row in best],
            hoverinfo="skip",
            name="front: none is better in both",
        )


def mark_broken(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis) -> None:
    """A cross over every dead row: one that is on no front because it breaks more answers than the base."""
    crossed = [row for row in rows if is_broken_model(row, base_row(row, rows))]
    if crossed:
        figure.add_scatter(
            **point_places(crossed, by),
            mode="markers",
            marker={
                "symbol": "x-thin-open",
                "size": _CROSS,
                "color": INK_COLOUR,
                "line": {"color": INK_COLOUR, "width": 3},
            },
            cliponaxis=False,
            customdata=[row.variant for row in crossed],
            hoverinfo="skip",
            name=f"broken: {100 * MAX_EXCESS_BROKEN:.0f} points over base",
        )


def mark_shipped(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis, shipped: Sequence[str]) -> None:
    """A ring around what came with the project."""
    wanted = {parse_variant(text) for text in shipped}
    ringed = [row for row in rows if parse_variant(row.variant) in wanted]
    if ringed:
        figure.add_scatter(
            **point_places(ringed, by),
            mode="markers",
            cliponaxis=False,
            marker={"symbol": "circle-open", "size": _RING, "color": INK_COLOUR, "line": {"width": 2}},
            customdata=[row.variant for row in ringed],
            hoverinfo="skip",
            name="ring: shipped default",
        )


def mark_columns(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis, here: Sequence[str]) -> None:
    """A pointer with the column's number at each variant of Compare that has a place."""
    found = [(i, text, at) for i, text in enumerate(here, 1) if (at := point_on_line(text, rows, by))]
    if found:
        figure.add_scatter(
            x=[x for _, _, (x, _, _) in found],
            y=[y for _, _, (_, y, _) in found],
            mode="markers+text",
            cliponaxis=False,
            marker={"symbol": "circle", "size": 5, "color": INK_COLOUR},
            text=[f"<b>{i}</b><br>▼" for i, _, _ in found],
            textposition="top center",
            textfont={"size": 15},
            customdata=[text for _, text, _ in found],
            hovertext=[
                f"column {i} of Compare: {text}{'' if measured else ' (on the line between measured points)'}"
                for i, text, (_, _, measured) in found
            ],
            hoverinfo="text",
            name="▼ columns of Compare",
        )
