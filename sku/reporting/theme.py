"""What all figures share: no background of their own, and a grey that reads on white and on black."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

INK = "#808080"
QUIET = "rgba(128,128,128,0.25)"
CLEAR = "rgba(0,0,0,0)"


def themed(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """`figure` with the house's looks; `layout` goes to plotly as it is."""
    figure.update_layout(
        height=height,
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"color": INK},
        hoverlabel={"align": "left"},
        uirevision="keep",  # a zoom survives new data
    )
    figure.update_xaxes(gridcolor=QUIET, zerolinecolor=QUIET)
    figure.update_yaxes(gridcolor=QUIET, zerolinecolor=QUIET)
    return figure.update_layout(**layout)
