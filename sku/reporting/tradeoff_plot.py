"""The trade-off plot: harmful rate against utility, which shows what forgetting costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from sku.core.records import ResultRow
from sku.core.variants import BASE, VariantSpec, parse_variant
from sku.reporting.coefficient_lines import CostAxis, coefficient_lines, cost_axis
from sku.reporting.markers import method_marker
from sku.reporting.row_text import method_label, row_hover
from sku.reporting.theme import GRID_COLOUR, INK_COLOUR, TRANSPARENT, apply_theme
from sku.reporting.tradeoff_overlays import add_pareto_front, mark_broken, mark_columns, mark_shipped, point_places
from sku.reporting.utilities import UTILITIES, find_utility

_HEIGHT = 580
_MARK_SIZE = 11
_FAINT = 0.25
MAIN_RUNS = ("sku", "keep", "ga", "tv")
"""The runs whose lines are drawn at first, beside the base."""
LINE_LABELS = {
    "sku": ("SKU (ours)", "bottom left"),
    "keep": ("SKU (paper's sum)", "top right"),
    "ga": ("\u2003gradient ascent", "middle right"),  # the space keeps it clear of the mark
    "tv": ("\u2002task vector", "middle right"),
}
"""The labels at the ends of their lines, and on which side, so that they do not overlap."""


def tradeoff_figure(
    rows: Sequence[ResultRow],
    utility: str = "kl",
    compared: Sequence[str] = (),
    own: Sequence[ResultRow] = (),
    shipped: Sequence[str] = (),
    main: Sequence[str] | None = None,
    chosen: str | None = None,
    can_open: Callable[[str], bool] = lambda _: True,
) -> go.Figure:
    """The trade-off plot, with one line per training along its coefficients, unless the utility is not `joined`.

    A low harmful rate is good; the title of the other axis says whether lower or higher is better. The customdata of
    a mark is its variant if it can be opened. Rows without a harmful rate or without the utility are left out.

    Args:
        rows: the rows of the study on one side of the data.
        utility: a name of `UTILITIES`.
        compared: the variants in the columns of Compare, from column 1 on. Each gets a pointer. If its coefficient was
            not measured, the pointer is on the line between measured ones.
        own: a visitor's own rows. Their lines are dashed.
        shipped: the recommended variants. Each gets a ring and whiskers. Other marks get whiskers while the pointer is
            on them: their lengths are in the trace's `meta`, and the last trace is there to draw them.
        main: the runs whose lines are labelled at their ends; the study's other lines are faint. None: all runs.
        chosen: a variant that gets whiskers as well.
        can_open: says whether a click on a variant's mark opens it.

    Raises:
        ValueError: for an unknown utility.
    """
    axis, joined = cost_axis([*rows, *own], utility), find_utility(utility).joined
    figure = go.Figure()
    add_pareto_front(figure, _drawn(rows or own, axis), axis)
    whiskered = {parse_variant(text) for text in (*shipped, *([chosen] if chosen else []))}
    for group, is_own in ((_drawn(rows, axis), False), (_drawn(own, axis), True)):
        labelled = None if is_own else main
        if joined:
            _add_lines(figure, group, axis, is_own, labelled)
        _add_groups(figure, group, axis, is_own, labelled, whiskered)
    both = _drawn([*rows, *own], axis)
    mark_broken(figure, both, axis)
    mark_shipped(figure, both, axis, shipped)
    mark_columns(figure, both, axis, compared, joined)
    if both:
        _add_hovered(figure)
    for trace in figure.data:
        if trace.customdata is not None:
            trace.customdata = [text if can_open(text) else None for text in trace.customdata]
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
    whiskered: Collection[VariantSpec],
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
        labelled = main is not None and not faint and UTILITIES[axis.utility].joined
        look = {"name": name, "legendgroup": name, "opacity": _FAINT if faint else 1.0, "showlegend": not labelled}
        _add_marks(figure, group, axis, marker, whiskered, **look)


def _legend_name(row: ResultRow, is_own: bool) -> str:
    return method_label(row) + (" (yours)" if is_own else "")


def _add_marks(
    figure: go.Figure,
    rows: Sequence[ResultRow],
    axis: CostAxis,
    marker: dict[str, Any],
    whiskered: Collection[VariantSpec],
    **trace: Any,
) -> None:
    shown = [not whiskered or parse_variant(row.variant) in whiskered for row in rows]
    rates = [_whisker(row.harmful_rate, row.harmful_low, row.harmful_high) for row in rows]
    costs = [_utility_whisker(row, axis) for row in rows]
    figure.add_scatter(
        **point_places(rows, axis),
        mode="markers",
        marker=marker,
        cliponaxis=False,  # marks at a harmful rate of 0 are not cut off
        error_y=_whiskers([rate if here else None for rate, here in zip(rates, shown, strict=True)], marker["color"]),
        error_x=_whiskers([cost if here else None for cost, here in zip(costs, shown, strict=True)], marker["color"]),
        meta={
            "whiskers": [
                [*(rate or (None, None)), *(cost or (None, None))] for rate, cost in zip(rates, costs, strict=True)
            ]
        },
        customdata=[row.variant for row in rows],
        text=[row_hover(row) for row in rows],
        hovertemplate="%{text}<extra></extra>",
        **trace,
    )


def _add_hovered(figure: go.Figure) -> None:
    """An empty trace, in which the page draws the whiskers of the mark under the pointer."""
    whiskers = _whiskers([None], INK_COLOUR)
    look = {"mode": "markers", "marker": {"size": 1, "color": TRANSPARENT}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=[None], y=[None], error_x=whiskers, error_y=whiskers, meta={"hovered": True}, **look)


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
        margin={"l": 50, "r": 100, "t": 30, "b": 40},  # for the labels at the ends of the lines and above base
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
