"""How far judges agree with people."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sku.judges.protocol import Agreement, JudgeCard
from sku.reporting.formatting import percent_with_interval
from sku.reporting.theme import apply_theme

_STYLES = (
    ("#0072b2", "circle"),
    ("#d55e00", "diamond"),
    ("#009e73", "square"),
    ("#cc79a7", "triangle-up"),
    ("#8c6d1f", "cross"),
    ("#56b4e9", "triangle-down"),
)
_STEP = 0.16
_ROW, _FRAME = 44, 120


def judge_agreement_figure(cards: Sequence[JudgeCard]) -> go.Figure:
    """Accuracy with its interval, a row a set of labels and a dot a judge.

    Args:
        cards: judges that were measured nowhere leave no dot.
    """
    measured = [card for card in cards if card.agreement]
    sets = list(dict.fromkeys(one.what for card in measured for one in card.agreement))
    figure = go.Figure()
    for i, card in enumerate(measured):
        colour, symbol = _STYLES[i % len(_STYLES)]
        beside = (i - (len(measured) - 1) / 2) * _STEP  # judges of one row stand next to each other
        figure.add_scatter(
            x=[one.accuracy for one in card.agreement],
            y=[sets.index(one.what) + beside for one in card.agreement],
            error_x={
                "array": [one.high - one.accuracy for one in card.agreement],
                "arrayminus": [one.accuracy - one.low for one in card.agreement],
                "color": colour,
            },
            text=[_hover(card, one) for one in card.agreement],
            hoverinfo="text",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=card.id,
        )
    apply_theme(figure, _FRAME + _ROW * len(sets), legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title="agreement with labels<br>with 95 % interval", tickformat=".0%")
    figure.update_yaxes(
        tickvals=list(range(len(sets))), ticktext=sets, range=[len(sets) - 0.5, -0.5], automargin=True, zeroline=False
    )
    return figure


def _hover(card: JudgeCard, one: Agreement) -> str:
    auc = f", AUC {one.auc:.2f}" if one.auc is not None else ""
    accuracy = percent_with_interval(one.accuracy, one.low, one.high)
    return f"{card.id} on {one.what}: {accuracy} of {one.n} labelled answers{auc}"
