"""The figure of the outcomes of every variant, one bar per variant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go

from sku.core.records import OUTCOMES, Outcome, ResultRow
from sku.reporting.formatting import percent
from sku.reporting.markers import outcome_marker
from sku.reporting.theme import INK_COLOUR, TRANSPARENT, apply_theme

_PATTERNS: dict[Outcome, str] = {
    "harmful": "/",
    "refusal": "",
    "safe": ".",
    "off-topic": "-",
    "broken": "x",
    "unjudged": "",
}
_BAR, _FRAME = 34, 110


def outcome_figure(rows: Sequence[ResultRow], can_open: Callable[[str], bool] = lambda _: True) -> go.Figure:
    """The shares of the outcomes, one bar per row. The part of unjudged answers is hollow.

    Args:
        rows: the rows from top to bottom. Rows without answers are left out.
        can_open: says whether a click on a variant's bar opens it. The customdata of such a bar is the variant.
    """
    shown = [row for row in rows if row.n]
    figure = go.Figure()
    for outcome in OUTCOMES:
        counts = [row.count(outcome) or 0 for row in shown]
        marker = outcome_marker(outcome)
        figure.add_bar(
            orientation="h",
            name=f"{marker.mark} {outcome}",
            y=list(range(len(shown))),  # not the names: two files may contain the same variant
            x=[count / row.n for count, row in zip(counts, shown, strict=True)],
            text=[f"{count} {outcome}" if count else "" for count in counts],
            hovertext=[
                f"{row.variant}: {count} of {row.n} {outcome} ({percent(count / row.n)})"
                for count, row in zip(counts, shown, strict=True)
            ],
            hoverinfo="text",
            customdata=[row.variant if can_open(row.variant) else None for row in shown],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"color": INK_COLOUR if outcome == "unjudged" else "white"},
            marker={
                "color": TRANSPARENT if outcome == "unjudged" else marker.colour,
                "line": {"color": INK_COLOUR if outcome == "unjudged" else TRANSPARENT, "width": 1},
                "pattern": {"shape": _PATTERNS[outcome], "fillmode": "overlay", "fgopacity": 0.35, "size": 6},
            },
        )
    apply_theme(
        figure,
        _FRAME + _BAR * len(shown),
        barmode="stack",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        showlegend=True,
        uniformtext={"minsize": 10, "mode": "hide"},
    )
    figure.update_xaxes(title="share of the answers to harmful prompts", tickformat=".0%", range=[0, 1.01])
    labels = [row.variant for row in shown]
    figure.update_yaxes(autorange="reversed", automargin=True, tickvals=list(range(len(shown))), ticktext=labels)
    return figure
