"""What is drawn over the marks of the trade-off: front, broken answers, shipped defaults, where Compare stands."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sku.core.records import ResultRow
from sku.core.variants import parse
from sku.reporting.coefficient_lines import Axis, standing
from sku.reporting.pareto import MAX_BROKEN, base_of, dead, front
from sku.reporting.theme import INK

_RING, _CROSS = 26, 19


def places(rows: Sequence[ResultRow], by: Axis) -> dict[str, list[float | None]]:
    """Where rows are drawn."""
    return {"x": [by.of(row) for row in rows], "y": [row.harmful_rate for row in rows]}


def add_front(figure: go.Figure, rows: Sequence[ResultRow], by: Axis) -> None:
    """A dotted line through the rows that no other beats."""
    best = front(rows, by.utility)
    if best:
        figure.add_scatter(
            **places(best, by),
            mode="lines",
            line={"color": INK, "width": 1.5, "dash": "dot", "shape": "vh"},
            customdata=[row.variant for row in best],
            hoverinfo="skip",
            name="front: none is better in both",
        )


def add_broken(figure: go.Figure, rows: Sequence[ResultRow], by: Axis) -> None:
    """A cross over every dead row: one that is on no front because it breaks more answers than the base."""
    crossed = [row for row in rows if dead(row, base_of(row, rows))]
    if crossed:
        figure.add_scatter(
            **places(crossed, by),
            mode="markers",
            marker={"symbol": "x-thin-open", "size": _CROSS, "color": INK, "line": {"color": INK, "width": 3}},
            cliponaxis=False,
            customdata=[row.variant for row in crossed],
            hoverinfo="skip",
            name=f"broken: {100 * MAX_BROKEN:.0f} points over base",
        )


def add_shipped(figure: go.Figure, rows: Sequence[ResultRow], by: Axis, shipped: Sequence[str]) -> None:
    """A ring around what came with the project."""
    wanted = {parse(text) for text in shipped}
    ringed = [row for row in rows if parse(row.variant) in wanted]
    if ringed:
        figure.add_scatter(
            **places(ringed, by),
            mode="markers",
            cliponaxis=False,
            marker={"symbol": "circle-open", "size": _RING, "color": INK, "line": {"width": 2}},
            customdata=[row.variant for row in ringed],
            hoverinfo="skip",
            name="ring: shipped default",
        )


def add_here(figure: go.Figure, rows: Sequence[ResultRow], by: Axis, here: Sequence[str]) -> None:
    """A pointer with the column's number at each variant of Compare that has a place."""
    found = [(i, text, at) for i, text in enumerate(here, 1) if (at := standing(text, rows, by))]
    if found:
        figure.add_scatter(
            x=[x for _, _, (x, _, _) in found],
            y=[y for _, _, (_, y, _) in found],
            mode="markers+text",
            cliponaxis=False,
            marker={"symbol": "circle", "size": 5, "color": INK},
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
