"""The common style of all figures: a transparent background, and a grey that reads on white and on black."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

INK_COLOUR = "#808080"
GRID_COLOUR = "rgba(128,128,128,0.25)"
TRANSPARENT = "rgba(0,0,0,0)"


def apply_theme(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """Apply the common style to `figure`. The `layout` arguments are passed on to plotly and win."""
    figure.update_layout(
        height=height,
        margin={"l": 50, "r": 10, "t": 10, "b": 40},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        font={"color": INK_COLOUR},
        hoverlabel={"align": "left"},
        uirevision="keep",  # a zoom survives new data
    )
    figure.update_xaxes(gridcolor=GRID_COLOUR, zerolinecolor=GRID_COLOUR)
    figure.update_yaxes(gridcolor=GRID_COLOUR, zerolinecolor=GRID_COLOUR)
    return figure.update_layout(**layout)
