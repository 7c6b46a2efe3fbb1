"""The figure of rounding: how much of a task vector is left in each layer after the merged weights were rounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from sku.core.attacks import ATTACKS
from sku.core.records import ResultRow
from sku.reporting.formatting import percent
from sku.reporting.robustness_matrix import variant_label
from sku.reporting.theme import INK_COLOUR, apply_theme
from sku.reporting.variant_lines import variant_lines

_BY_LAYER, _IN_ALL = "survived_by_layer", "survived"
"""Names in `ResultRow.attack_details`, which `core/attacks.py` explains."""
_HEIGHT, _LEGEND_LINE = 340, 16


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
        shares = dict(sorted(survival_of(row).items()))
        in_all = row.attack_details.get(_IN_ALL)
        total = f", {percent(in_all)} in all" if isinstance(in_all, int | float) else ""
        figure.add_scatter(
            x=list(shares),
            y=list(shares.values()),
            name=variant_label(row) + total,
            hovertemplate=f"{variant_label(row)}<br>layer %{{x}}: %{{y:.0%}} left<extra></extra>",
            customdata=[row.variant] * len(shares),
            **looks[row.variant].scatter(),
        )
    if drawn:
        figure.add_hline(y=1, line={"color": INK_COLOUR, "dash": "dot", "width": 1.5})
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    apply_theme(figure, _HEIGHT + _LEGEND_LINE * len(drawn), legend=legend, showlegend=True, hovermode="closest")
    figure.update_xaxes(title="layer", zeroline=False)
    figure.update_yaxes(
        title="share of the vector left<br>after rounding", tickformat=".0%", rangemode="tozero", automargin=True
    )
    return figure
