"""Figures of the losses over the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from sku.core.terms import TERMS
from sku.reporting.theme import apply_theme


def loss_figure(lines: Sequence[dict[str, Any]]) -> go.Figure:
    """The loss terms over the steps of a run, one line per term.

    Args:
        lines: the lines of `log.jsonl`, oldest first; may be empty.
    """
    figure = go.Figure()
    steps = [line["step"] for line in lines]
    for name in lines[0]["terms"] if lines else ():
        colour, dash = TERMS[name].style
        values = [line["terms"][name] for line in lines]
        style = {"color": colour, "dash": dash, "width": 2}
        mode = "lines" if len(lines) > 1 else "markers"
        figure.add_scatter(x=steps, y=values, name=name, mode=mode, line=style, marker={"color": colour})
    legend = {"orientation": "h", "y": 1.15}
    apply_theme(figure, 280, legend=legend, hovermode="x unified", showlegend=True)
    figure.update_xaxes(title="step", zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="loss term, nats per token")
    return figure


_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9")


def run_comparison_figure(logs: Mapping[str, Sequence[dict[str, Any]]]) -> go.Figure:
    """The weighted sum of all terms over the steps, one line per run.

    Args:
        logs: maps each run's name to the lines of its `log.jsonl`.
    """
    figure = go.Figure()
    for i, (name, lines) in enumerate(logs.items()):
        style = {"color": _COLOURS[i % len(_COLOURS)], "dash": _DASHES[i % len(_DASHES)], "width": 2}
        steps, totals = [line["step"] for line in lines], [line["total"] for line in lines]
        figure.add_scatter(x=steps, y=totals, name=name, mode="lines", line=style)
    apply_theme(figure, 280, legend={"orientation": "h", "y": 1.15}, hovermode="x unified", showlegend=True)
    figure.update_xaxes(title="step", zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="sum of weighted terms")
    return figure
