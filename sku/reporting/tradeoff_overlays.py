"""Overlays of the trade-off plot: the Pareto front, broken models, shipped defaults, and the columns of Compare."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sku.core.records import ResultRow
from sku.core.variants import parse_variant
from sku.reporting.coefficient_lines import CostAxis, point_on_line
from sku.reporting.pareto import MAX_EXCESS_BROKEN, base_row, is_broken_model, pareto_front
from sku.reporting.theme import INK_COLOUR

_RING, _CROSS = 26, 19


def point_places(rows: Sequence[ResultRow], axis: CostAxis) -> dict[str, list[float | None]]:
    """The positions at which rows are drawn."""
    return {"x": [axis.of(row) for row in rows], "y": [row.harmful_rate for row in rows]}


def add_pareto_front(figure: go.Figure, rows: Sequence[ResultRow], axis: CostAxis) -> None:
    """A dotted line through the rows that no other beats. What is below it, which no variant reaches, is shaded."""
    best = pareto_front(rows, axis.utility)
    if best:
        figure.add_scatter(
            **point_places(best, axis),
            mode="lines",
            line={"color": INK_COLOUR, "width": 1.5, "dash": "dot", "shape": "vh"},
            fill="tozeroy",
            fillcolor="rgba(128,128,128,0.12)",
            customdata=[row.variant for row in best],
            hoverinfo="skip",
            name="Pareto front: none is better in both",
        )


def mark_broken(figure: go.Figure, rows: Sequence[ResultRow], axis: CostAxis) -> None:
    """A cross over every broken model. It breaks more answers than the base and is not on the Pareto front."""
    crossed = [row for row in rows if is_broken_model(row, base_row(row, rows))]
    if crossed:
        figure.add_scatter(
            **point_places(crossed, axis),
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


def mark_shipped(figure: go.Figure, rows: Sequence[ResultRow], axis: CostAxis, shipped: Sequence[str]) -> None:
    """A ring around every variant that came with the project."""
    wanted = {parse_variant(text) for text in shipped}
    ringed = [row for row in rows if parse_variant(row.variant) in wanted]
    if ringed:
        figure.add_scatter(
            **point_places(ringed, axis),
            mode="markers",
            cliponaxis=False,
            marker={"symbol": "circle-open", "size": _RING, "color": INK_COLOUR, "line": {"width": 2}},
            customdata=[row.variant for row in ringed],
            hoverinfo="skip",
            name="ring: shipped default",
        )


def mark_columns(
    figure: go.Figure, rows: Sequence[ResultRow], axis: CostAxis, compared: Sequence[str], joined: bool = True
) -> None:
    """A pointer with the column's number at every variant of Compare that has a point in the plot.

    Args:
        figure: gets the pointers.
        rows: the rows in the plot.
        axis: the cost axis.
        compared: the variants in the columns of Compare.
        joined: whether the plot has lines. If it has none, only measured variants get a pointer.
    """
    columns = [
        (i, text, point)
        for i, text in enumerate(compared, 1)
        if (point := point_on_line(text, rows, axis)) and (joined or point[2])
    ]
    if columns:
        figure.add_scatter(
            x=[x for _, _, (x, _, _) in columns],
            y=[y for _, _, (_, y, _) in columns],
            mode="markers+text",
            cliponaxis=False,
            marker={"symbol": "circle", "size": 5, "color": INK_COLOUR},
            text=[f"<b>{i}</b><br>▼" for i, _, _ in columns],
            textposition="top center",
            textfont={"size": 15},
            customdata=[text for _, text, _ in columns],
            hovertext=[
                f"column {i} of Compare: {text}{'' if measured else ' (on the line between measured points)'}"
                for i, text, (_, _, measured) in columns
            ],
            hoverinfo="text",
            name="▼ columns of Compare",
        )
