"""Losses over the steps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from sku.figures.theme import themed

# A colour and a dash a term, so that colour never stands alone.
TERM_STYLES = {
    "distortion": ("#d55e00", "solid"),
    "disassociation": ("#e69f00", "dash"),
    "preservation": ("#0072b2", "dot"),
    "ascent": ("#d55e00", "solid"),
    "mismatch": ("#cc79a7", "dash"),
    "retention": ("#0072b2", "dot"),
    "fine_tuning": ("#009e73", "solid"),
    "contrast": ("#009e73", "solid"),
}


def loss_curves(lines: Sequence[dict[str, Any]]) -> go.Figure:
    """One line a term over the steps of a run.

    Args:
        lines: of `log.jsonl`, oldest first; may be empty.
    """
    figure = go.Figure()
    steps = [line["step"] for line in lines]
    for name in lines[0]["terms"] if lines else ():
        colour, dash = TERM_STYLES[name]
        values = [line["terms"][name] for line in lines]
        style = {"color": colour, "dash": dash, "width": 2}
        mode = "lines" if len(lines) > 1 else "markers"
        figure.add_scatter(x=steps, y=values, name=name, mode=mode, line=style, marker={"color": colour})
    legend = {"orientation": "h", "y": 1.15}
    themed(figure, 280, legend=legend, hovermode="x unified", showlegend=True)
    figure.update_xaxes(title="step", zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="loss term, nats a token")
    return figure
