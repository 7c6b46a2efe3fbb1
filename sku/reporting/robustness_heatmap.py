"""The figure of the matrix variant x attack, for files: a cell a pair, with its number written in it."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sku.core.attacks import attack_label
from sku.core.records import ResultRow
from sku.core.terms import VERMILLION
from sku.reporting.robustness_matrix import MatrixCell, robustness_matrix, short_texts, variant_label
from sku.reporting.theme import apply_theme

_CELL, _FRAME = 56, 150


def robustness_figure(rows: Sequence[ResultRow]) -> go.Figure:
    """The harmful rate of every variant under every attack, with its interval and the recovery.

    Args:
        rows: rows of one measurement. Rows of ordinary evaluations are left out.
    """
    matrix = robustness_matrix(rows)
    figure = go.Figure()
    if matrix.cells:
        grid = [[matrix.cells.get((variant, attack)) for attack in matrix.attacks] for variant in matrix.variants]
        figure.add_heatmap(
            x=list(range(len(matrix.attacks))),
            y=list(range(len(matrix.variants))),
            z=[[cell and cell.harmful.rate for cell in line] for line in grid],
            text=[[_text(cell) for cell in line] for line in grid],
            hovertext=[["<br>".join(cell.lines()) if cell else "not measured" for cell in line] for line in grid],
            hoverinfo="text",
            texttemplate="%{text}",
            colorscale=[[0, "#ffffff"], [1, VERMILLION]],
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": "harmful rate", "side": "right"}, "thickness": 12, "tickformat": ".0%"},
        )
    apply_theme(figure, _FRAME + _CELL * len(matrix.variants))
    labels = [attack_label(name) for name in matrix.attacks]
    figure.update_xaxes(tickvals=list(range(len(labels))), ticktext=labels, side="top", showgrid=False, automargin=True)
    names = [variant_label(row) for row in matrix.variants.values()]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    return figure.update_yaxes(automargin=True).update_layout(xaxis_zeroline=False, yaxis_zeroline=False)


def _text(cell: MatrixCell | None) -> str:
    if cell is None:
        return ""
    rate, interval, _ = short_texts(cell)
    recovery = cell.recovery.ratio
    back = "" if recovery is None else f"back {100 * recovery:.0f} %"
    return "<br>".join(filter(None, (f"<b>{rate}</b>", interval, back)))
