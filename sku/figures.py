"""Tables to plotly figures. No file, no model, no `show`; readable on light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

# Okabe-Ito: a colour and a dash a term, so that colour never stands alone.
_TERMS = {
    "distortion": ("#d55e00", "solid"),
    "disassociation": ("#e69f00", "dash"),
    "preservation": ("#0072b2", "dot"),
    "ascent": ("#d55e00", "solid"),
    "mismatch": ("#cc79a7", "dash"),
    "retention": ("#0072b2", "dot"),
    "fine_tuning": ("#009e73", "solid"),
}
_QUIET = "rgba(128,128,128,0.25)"


def loss_curves(lines: Sequence[dict[str, Any]]) -> go.Figure:
    """One line a term over the steps of a run.

    Args:
        lines: of `log.jsonl`, oldest first; may be empty.
    """
    figure = go.Figure()
    steps = [line["step"] for line in lines]
    for name in lines[0]["terms"] if lines else ():
        colour, dash = _TERMS[name]
        values = [line["terms"][name] for line in lines]
        style = {"color": colour, "dash": dash, "width": 2}
        mode = "lines" if len(lines) > 1 else "markers"
        figure.add_scatter(x=steps, y=values, name=name, mode=mode, line=style, marker={"color": colour})
    figure.update_layout(
        height=280,
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#808080"},
        legend={"orientation": "h", "y": 1.15},
        hovermode="x unified",
        showlegend=True,
    )
    figure.update_xaxes(title="step", gridcolor=_QUIET, zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="loss term, nats a token", gridcolor=_QUIET, zerolinecolor=_QUIET)
    return figure
