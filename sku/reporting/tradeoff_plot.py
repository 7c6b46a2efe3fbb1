"""Harmful rate against utility: what forgetting cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from sku.core.records import ResultRow
from sku.reporting.coefficient_lines import CostAxis, coefficient_lines, cost_axis
from sku.reporting.markers import method_marker
from sku.reporting.text import method_label, row_hover
from sku.reporting.theme import TRANSPARENT, apply_theme
from sku.reporting.tradeoff_overlays import add_pareto_front, mark_broken, mark_columns, mark_shipped, point_places
from sku.reporting.utilities import UTILITIES

_HEIGHT = 580
_MARK = 11


def tradeoff_figure(
    rows: Sequence[ResultRow],
    utility: str = "kl",
    here: Sequence[str] = (),
    own: Sequence[ResultRow] = (),
    shipped: Sequence[str] = (),
) -> go.Figure:
    """A line a training along its coefficient; best is below, on the side that the axis title names.

    Every mark's customdata is its variant. Rows without harmful rate or utility are left out.

    Args:
        rows: the study, of one side of the data.
        utility: a name of `UTILITIES`.
        here: variants to point at, the first one as column 1; between measured coefficients on the line.
        own: a visitor's own rows, drawn dashed.
        shipped: variants to ring.

    Raises:
        ValueError: for an unknown utility.
    """
    by = cost_axis([*rows, *own], utility)
    figure = go.Figure()
    for group, mine in ((_drawn(rows, by), False), (_drawn(own, by), True)):
        _add_courses(figure, group, by, mine)
        _add_kinds(figure, group, by, mine)
    add_pareto_front(figure, _drawn(rows or own, by), by)
    both = _drawn([*rows, *own], by)
    mark_broken(figure, both, by)
    mark_shipped(figure, both, by, shipped)
    mark_columns(figure, both, by, here)
    return _framed(figure, by)


def _drawn(rows: Sequence[ResultRow], by: CostAxis) -> list[ResultRow]:
    return [row for row in rows if row.harmful_rate is not None and by.of(row) is not None]


def _add_courses(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis, mine: bool) -> None:
    for course in coefficient_lines(rows):
        colour = method_marker(course[-1].method, course[-1].preservation).colour
        figure.add_scatter(
            **point_places(course, by),
            mode="lines",
            line={"color": colour, "width": 2, "dash": "dash" if mine else "solid"},
            name=_name(course[-1], mine),
            legendgroup=_name(course[-1], mine),
            showlegend=False,
            hoverinfo="skip",
        )


def _add_kinds(figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis, mine: bool) -> None:
    """The marks, one trace for what shares a sign, so that it shares a line of the legend too."""
    for name in dict.fromkeys(_name(row, mine) for row in rows):
        group = [row for row in rows if _name(row, mine) == name]
        mark = method_marker(group[0].method, group[0].preservation)
        hollow = mark.symbol.endswith("-open")
        symbol = f"{mark.symbol}-open" if mine and not hollow else mark.symbol
        marker = {"color": mark.colour, "symbol": symbol, "size": _MARK, "line": {"width": 2 if mine or hollow else 0}}
        _add_marks(figure, group, by, marker, name=name, legendgroup=name)


def _name(row: ResultRow, mine: bool) -> str:
    return method_label(row) + (" (yours)" if mine else "")


def _add_marks(
    figure: go.Figure, rows: Sequence[ResultRow], by: CostAxis, marker: dict[str, Any], **trace: Any
) -> None:
    rates = [_whisker(row.harmful_rate, row.harmful_low, row.harmful_high) for row in rows]
    figure.add_scatter(
        **point_places(rows, by),
        mode="markers",
        marker=marker,
        cliponaxis=False,  # a harmful rate of 0 shows whole
        error_y=_whiskers(rates, marker["color"]),
        error_x=_whiskers([_utility_whisker(row, by) for row in rows], marker["color"]),
        customdata=[row.variant for row in rows],
        text=[row_hover(row) for row in rows],
        hovertemplate="%{text}<extra></extra>",
        **trace,
    )


def _utility_whisker(row: ResultRow, by: CostAxis) -> tuple[float, float] | None:
    """The interval that the row itself holds, as lengths from its mark."""
    interval = UTILITIES[by.utility].interval
    low, high = interval(row) if interval else (None, None)
    return None if low is None or high is None else _whisker(by.of(row), by.place(low), by.place(high))


def _whisker(at: float | None, low: float | None, high: float | None) -> tuple[float, float] | None:
    """Upwards and downwards; None where the interval is not known."""
    return None if at is None or low is None or high is None else (high - at, at - low)


def _whiskers(lengths: Sequence[tuple[float, float] | None], colour: str) -> dict[str, Any]:
    return {
        "array": [one and one[0] for one in lengths],
        "arrayminus": [one and one[1] for one in lengths],
        "color": f"rgba{(*hex_to_rgb(colour), 0.5)}",  # many intervals lie over each other
        "thickness": 1.2,
        "width": 3,
    }


def _framed(figure: go.Figure, by: CostAxis) -> go.Figure:
    utility = UTILITIES[by.utility]
    unit = f", {utility.unit}" if utility.unit not in ("", "%") else ""  # ticks carry the percent sign
    title = f"{utility.label}{unit}<br>{'less' if utility.better == 'low' else 'more'} is better"
    if by.logarithmic:
        title += "; log" + (f", 0 drawn at {by.floor:g}" if by.floor else "")
    apply_theme(
        figure,
        _HEIGHT,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        showlegend=True,
        hovermode="closest",
        hoverdistance=30,
    )
    shape: dict[str, Any] = {"type": "linear"}
    if by.logarithmic:  # a KL spans decades, and labels between them run into each other
        decades = {"dtick": 1, "minor": {"dtick": "D1", "showgrid": True}} if by.floor else {"dtick": "D2"}
        shape = {"type": "log", "tickformat": "~g", **decades}
    if utility.unit == "%":
        shape["tickformat"] = ".0%"
    below = {"ticks": "outside", "ticklen": _MARK, "tickcolor": TRANSPARENT}  # marks at a rate of 0 hang over the axis
    figure.update_xaxes(title=title, zeroline=False, automargin=True, **below, **shape)
    figure.update_yaxes(title="harmful rate (95 % interval)", tickformat=".0%", rangemode="tozero", automargin=True)
    return figure
