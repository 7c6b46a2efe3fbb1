"""The figure of how often judges agree with people."""

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
    """The accuracy of judges with its interval: one row per set of labels, one dot per judge.

    Args:
        cards: the cards of the judges. Judges without measurements are left out.
    """
    measured = [card for card in cards if card.agreement]
    sets = list(dict.fromkeys(agreement.what for card in measured for agreement in card.agreement))
    figure = go.Figure()
    for i, card in enumerate(measured):
        colour, symbol = _STYLES[i % len(_STYLES)]
        offset = (i - (len(measured) - 1) / 2) * _STEP  # the dots of one row must not cover each other
        figure.add_scatter(
            x=[agreement.accuracy for agreement in card.agreement],
            y=[sets.index(agreement.what) + offset for agreement in card.agreement],
            error_x={
                "array": [agreement.high - agreement.accuracy for agreement in card.agreement],
                "arrayminus": [agreement.accuracy - agreement.low for agreement in card.agreement],
                "color": colour,
            },
            text=[_hover(card, agreement) for agreement in card.agreement],
            hoverinfo="text",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=card.id,
        )
    apply_theme(figure, _FRAME + _ROW * len(sets), legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title="agreement with labels<br>(95 % interval)", tickformat=".0%")
    figure.update_yaxes(
        tickvals=list(range(len(sets))), ticktext=sets, range=[len(sets) - 0.5, -0.5], automargin=True, zeroline=False
    )
    return figure


def _hover(card: JudgeCard, agreement: Agreement) -> str:
    auc = f", AUC {agreement.auc:.2f}" if agreement.auc is not None else ""
    accuracy = percent_with_interval(agreement.accuracy, agreement.low, agreement.high)
    return f"{card.id} on {agreement.what}: {accuracy} of {agreement.n} labelled answers{auc}"
