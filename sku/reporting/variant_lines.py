"""Draws figures with one line per variant: each has the method's colour and mark, and a dash of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import plotly.graph_objects as go

from sku.core.methods import Marker
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting.markers import method_marker
from sku.reporting.robustness_matrix import variant_label
from sku.reporting.theme import apply_theme

_HEIGHT, _LEGEND_LINE = 340, 16
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


class VariantLine(NamedTuple):
    """The look of one variant's line."""

    marker: Marker
    dash: str

    def scatter(self) -> dict[str, Any]:
        """Plotly's settings of the line and its marks."""
        return {
            "mode": "lines+markers",
            "line": {"color": self.marker.colour, "dash": self.dash, "width": 2},
            "marker": {"color": self.marker.colour, "symbol": self.marker.symbol, "size": 9},
        }


def variant_lines(rows: Iterable[ResultRow]) -> dict[str, VariantLine]:
    """The line of every variant in `rows`. Variants with the same mark get different dashes."""
    lines: dict[str, VariantLine] = {}
    used: Counter[Marker] = Counter()
    for row in rows:
        if row.variant not in lines:
            marker = method_marker(None if row.method == BASE else row.method, row.preservation)
            lines[row.variant] = VariantLine(marker, _DASHES[used[marker] % len(_DASHES)])
            used[marker] += 1
    return lines


def add_variant_line(
    figure: go.Figure, row: ResultRow, look: VariantLine, points: Mapping[int, float], after_name: str, hover: str
) -> None:
    """Add the line of one variant.

    Args:
        figure: is changed.
        row: the variant's row.
        look: how its line looks.
        points: the values of the line.
        after_name: follows the variant's name in the legend.
        hover: plotly's template for the second line of a hover box.
    """
    in_order = dict(sorted(points.items()))
    figure.add_scatter(
        x=list(in_order),
        y=list(in_order.values()),
        name=variant_label(row) + after_name,
        hovertemplate=f"{variant_label(row)}<br>{hover}<extra></extra>",
        customdata=[row.variant] * len(in_order),
        **look.scatter(),
    )


def apply_line_theme(figure: go.Figure, lines: int) -> None:
    """Apply the theme, with a legend above the figure that has room for so many lines."""
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    apply_theme(figure, _HEIGHT + _LEGEND_LINE * lines, legend=legend, showlegend=True, hovermode="closest")
