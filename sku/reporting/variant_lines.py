"""How a figure with one line per variant draws each of them: the method's colour and mark, and a dash of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from sku.core.methods import Marker
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting.markers import method_marker

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
