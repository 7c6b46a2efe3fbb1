"""The trade-off plot: harmful rate against utility, which shows what forgetting costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from sku.core.records import ResultRow
from sku.core.variants import BASE, VariantSpec, parse_variant
from sku.reporting.coefficient_lines import CostAxis, coefficient_lines, cost_axis
from sku.reporting.markers import method_marker
from sku.reporting.row_text import method_label, row_hover
from sku.reporting.theme import GRID_COLOUR, TRANSPARENT, apply_theme
from sku.reporting.tradeoff_overlays import add_pareto_front, mark_broken, mark_columns, mark_shipped, point_places
from sku.reporting.utilities import UTILITIES

_HEIGHT = 580
_MARK_SIZE = 11
_FAINT = 0.25
MAIN_RUNS = ("sku", "keep", "ga", "tv")
"""The runs whose lines are drawn at first, beside the base."""
LINE_LABELS = {
    "sku": ("SKU (ours)", "bottom left"),
    "keep": ("SKU (paper's sum)", "top left"),
    "ga": ("gradient ascent", "middle right"),
    "tv": ("task vector", "top right"),
}
"""The labels at the ends of their lines, and on which side, so that they do not overlap."""


def tradeoff_figure(
    rows: Sequence[ResultRow],
    utility: str = "kl",
    compared: Sequence[str] = (),
    own: Sequence[ResultRow] = (),
    shipped: Sequence[str] = (),
    main: Sequence[str] | None = None,
) -> go.Figure:
    """The trade-off plot, with one line per training along its coefficients.

    A low harmful rate is good; the title of the other axis says whether lower or higher is better. The customdata of
    every mark is its variant. Rows without a harmful rate or without the utility are left out.

    Args:
        rows: the rows of the study on one side of the data.
        utility: a name of `UTILITIES`.
        compared: the variants in the columns of Compare, from column 1 on. Each gets a pointer. If its coefficient was
            not measured, the pointer is on the line between measured ones.
        own: a visitor's own rows. Their lines are dashed.
        shipped: the recommended variants. Each gets a ring, and is the only one of its line with whiskers: hovering
            shows the intervals of the others.
        main: the runs whose lines are labelled at their ends; the study's other lines are faint. None: all runs.

    Raises:
        ValueError: for an unknown utility.
    """
    axis = cost_axis([*rows, *own], utility)
    figure = go.Figure()
    add_pareto_front(figure, _drawn(rows or own, axis), axis)
    recommended = {parse_variant(text) for text in shipped}
    for group, is_own in ((_drawn(rows, axis), False), (_drawn(own, axis), True)):
        _add_lines(figure, group, axis, is_own, None if is_own else main)
        _add_groups(figure, group, axis, is_own, None if is_own else main, recommended)
    both = _drawn([*rows, *own], axis)
    mark_broken(figure, both, axis)
    mark_shipped(figure, both, axis, shipped)
    mark_columns(figure, both, axis, compared)
    return _with_layout(figure, axis)


def _drawn(rows: Sequence[ResultRow], axis: CostAxis) -> list[ResultRow]:
    return [row for row in rows if row.harmful_rate is not None and axis.of(row) is not None]


def _is_faint(row: ResultRow, main: Sequence[str] | None) -> bool:
    return main is not None and row.method != BASE and row.run not in main


def _add_lines(
    figure: go.Figure, rows: Sequence[ResultRow], axis: CostAxis, is_own: bool, main: Sequence[str] | None
) -> None:
    for line in coefficient_lines(rows):
        colour = method_marker(line[-1].method, line[-1].preservation).colour
        along = len({row.coefficient for row in line}) > 2  # not the line along the steps of a training
        label, place = LINE_LABELS.get(line[-1].run, ("", "middle right")) if main is not None and along else ("", "")
        figure.add_scatter(
            **point_places(line, axis),
            mode="lines+text" if label else "lines",
            text=["" for _ in line[:-1]] + [label],
            textposition=place or "middle right",
            textfont={"size": 12},
            cliponaxis=False,
            opacity=_FAINT if _is_faint(line[-1], main) else 1.0,
            line={"color": colour, "width": 2, "dash": "dash" if is_own else "solid"},
            name=_legend_name(line[-1], is_own),
            legendgroup=_legend_name(line[-1], is_own),
            showlegend=False,
            hoverinfo="skip",
        )


def _add_groups(
    figure: go.Figure,
    rows: Sequence[ResultRow],
    axis: CostAxis,
    is_own: bool,
    main: Sequence[str] | None,
    recommended: Collection[VariantSpec],
) -> None:
    """Draw the marks. Rows with the same mark form one trace, so that they share an entry of the legend."""
    kinds = dict.fromkeys((_legend_name(row, is_own), _is_faint(row, main)) for row in rows)
    for name, faint in kinds:
        group = [row for row in rows if (_legend_name(row, is_own), _is_faint(row, main)) == (name, faint)]
        mark = method_marker(group[0].method, group[0].preservation)
        hollow = mark.symbol.endswith("-open")
        symbol = f"{mark.symbol}-open" if is_own and not hollow else mark.symbol
        width = 2 if is_own or hollow else 0
        marker = {"color": mark.colour, "symbol": symbol, "size": _MARK_SIZE, "line": {"width": width}}
        labelled = main is not None and not faint
        look = {"name": name, "legendgroup": name, "opacity": _FAINT if faint else 1.0, "showlegend": not labelled}
        _add_marks(figure, group, axis, marker, recommended, **look)


def _legend_name(row: ResultRow, is_own: bool) -> str:
    return method_label(row) + (" (yours)" if is_own else "")


def _add_marks(
    figure: go.Figure,
    rows: Sequence[ResultRow],
    axis: CostAxis,
    marker: dict[str, Any],
    recommended: Collection[VariantSpec],
    **trace: Any,
) -> None:
    whiskered = [not recommended or parse_variant(row.variant) in recommended for row in rows]
    rates = [
        _whisker(row.harmful_rate, row.harmful_low, row.harmful_high) if shown else None
        for row, shown in zip(rows, whiskered, strict=True)
    ]
    costs = [_utility_whisker(row, axis) if shown else None for row, shown in zip(rows, whiskered, strict=True)]
    figure.add_scatter(
        **point_places(rows, axis),
        mode="markers",
        marker=marker,
        cliponaxis=False,  # marks at a harmful rate of 0 are not cut off
        error_y=_whiskers(rates, marker["color"]),
        error_x=_whiskers(costs, marker["color"]),
        customdata=[row.variant for row in rows],
        text=[row_hover(row) for row in rows],
        hovertemplate="%{text}<extra></extra>",
        **trace,
    )


def _utility_whisker(row: ResultRow, axis: CostAxis) -> tuple[float, float] | None:
    """The lengths of the utility's error bar, from the interval in the row; None if the row has no interval."""
    interval = UTILITIES[axis.utility].interval
    low, high = interval(row) if interval else (None, None)
    return None if low is None or high is None else _whisker(axis.of(row), axis.place(low), axis.place(high))


def _whisker(at: float | None, low: float | None, high: float | None) -> tuple[float, float] | None:
    """The lengths of an error bar upwards and downwards; None if the interval is unknown."""
    return None if at is None or low is None or high is None else (high - at, at - low)


def _whiskers(lengths: Sequence[tuple[float, float] | None], colour: str) -> dict[str, Any]:
    return {
        "array": [pair and pair[0] for pair in lengths],
        "arrayminus": [pair and pair[1] for pair in lengths],
        "color": f"rgba{(*hex_to_rgb(colour), 0.5)}",  # many intervals overlap
        "thickness": 1.2,
        "width": 3,
    }


def _with_layout(figure: go.Figure, axis: CostAxis) -> go.Figure:
    utility = UTILITIES[axis.utility]
    unit = f", {utility.unit}" if utility.unit not in ("", "%") else ""  # the ticks show the percent sign
    title = f"{utility.label}{unit}<br>{'lower' if utility.better == 'low' else 'higher'} is better"
    if axis.logarithmic:
        title += "; log" + (f", 0 drawn at {axis.floor:g}" if axis.floor else "")
    apply_theme(
        figure,
        _HEIGHT,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        showlegend=True,
        margin={"l": 50, "r": 100, "t": 10, "b": 40},  # room for the labels at the ends of the lines
        hovermode="closest",
        hoverdistance=30,
    )
    shape: dict[str, Any] = {"type": "linear"}
    if axis.logarithmic:  # a KL spans decades, and labels between decades would overlap
        decades = (
            {"dtick": 1, "minor": {"dtick": "D1", "showgrid": True, "gridcolor": GRID_COLOUR}}
            if axis.floor
            else {"dtick": "D2"}
        )
        shape = {"type": "log", "tickformat": "~g", **decades}
    if utility.unit == "%":
        shape["tickformat"] = ".0%"
    space = {"ticks": "outside", "ticklen": _MARK_SIZE, "tickcolor": TRANSPARENT}  # for marks at a harmful rate of 0
    figure.update_xaxes(title=title, zeroline=False, automargin=True, **space, **shape)
    figure.update_yaxes(title="harmful rate (95 % interval)", tickformat=".0%", rangemode="tozero", automargin=True)
    return figure
