"""The figure of the norm of a task vector in every layer and module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from sku.reporting.theme import apply_theme


def norm_figure(norms: Mapping[str, Sequence[float | None]]) -> go.Figure:
    """A heat map of the norm of a task vector by layer and module.

    Args:
        norms: maps a module name, such as `q_proj`, to the Frobenius norm in every layer, from the first layer on. None
            means that the vector does not change the module in that layer.

    Raises:
        ValueError: if modules have different numbers of layers.
    """
    counts = {len(layers) for layers in norms.values()}
    if len(counts) > 1:
        raise ValueError(f"modules have {sorted(counts)} layers; every module needs one entry per layer")
    modules, layers = list(norms), list(range(max(counts, default=0)))
    figure = go.Figure()
    if layers:
        figure.add_heatmap(
            x=modules,
            y=layers,
            z=[[norms[module][layer] for module in modules] for layer in layers],
            colorscale="Cividis",
            zmin=0,
            colorbar={"title": {"text": "norm", "side": "right"}, "thickness": 12},
            hovertemplate="layer %{y}, %{x}: norm %{z:.3g}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    apply_theme(figure, 120 + 14 * len(layers))
    figure.update_xaxes(title="module", showgrid=False, type="category")
    figure.update_yaxes(title="layer", showgrid=False, zeroline=False)
    return figure
