"""The figure of rounding: how much of a task vector is left in each layer after the merged weights were rounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from sku.core.attacks import ATTACKS
from sku.core.records import ResultRow
from sku.reporting.formatting import percent
from sku.reporting.theme import INK_COLOUR
from sku.reporting.variant_lines import add_variant_line, apply_line_theme, variant_lines

_BY_LAYER, _IN_ALL = "survived_by_layer", "survived"
"""Names in `ResultRow.attack_details`, which `core/attacks.py` explains."""


def rounding_attacks(rows: Iterable[ResultRow]) -> list[str]:
    """The attacks in `rows` that tell how much of the vector survived, in the order of the table of attacks."""
    found = {row.attack for row in rows if row.attack and survival_of(row)}
    return [*(name for name in ATTACKS if name in found), *sorted(found - set(ATTACKS))]


def survival_of(row: ResultRow) -> dict[int, float]:
    """Layer to the share of the vector that is left, 1 being all of it; empty if it was not measured."""
    found = row.attack_details.get(_BY_LAYER)
    items = found.items() if isinstance(found, dict) else ()
    return {int(layer): float(share) for layer, share in items if str(layer).isdigit() and share is not None}


def survival_figure(rows: Sequence[ResultRow], attack: str) -> go.Figure:
    """One line per variant over the layers; a dotted line where all of the vector would be left.

    Args:
        rows: rows of one measurement.
        attack: one of `rounding_attacks`.
    """
    drawn = [row for row in rows if row.attack == attack and survival_of(row)]
    looks = variant_lines(drawn)
    figure = go.Figure()
    for row in drawn:
        in_all = row.attack_details.get(_IN_ALL)
        total = f", {percent(in_all)} in all" if isinstance(in_all, int | float) else ""
        add_variant_line(figure, row, looks[row.variant], survival_of(row), total, "layer %{x}: %{y:.0%} left")
    if drawn:
        figure.add_hline(y=1, line={"color": INK_COLOUR, "dash": "dot", "width": 1.5})
    apply_line_theme(figure, len(drawn))
    figure.update_xaxes(title="layer", zeroline=False)
    figure.update_yaxes(
        title="share of the vector left<br>after rounding", tickformat=".0%", rangemode="tozero", automargin=True
    )
    return figure
