"""The figure of relearning: how the likelihood of harmful answers returns while a fresh adapter is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from sku.core.attacks import ATTACKS
from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting.robustness_matrix import variant_label
from sku.reporting.theme import INK_COLOUR
from sku.reporting.variant_lines import add_variant_line, apply_line_theme, variant_lines

_CURVE, _BASE_LEVEL, _STEPS_TO_BASE = "log_prob_by_step", "base_log_prob", "steps_to_base"
"""Names in `ResultRow.attack_details`, which `core/attacks.py` explains."""
_STAR = "★"


def relearning_attacks(rows: Iterable[ResultRow]) -> list[str]:
    """The attacks with a curve in `rows`, the longest training first."""
    steps: dict[str, int] = {}
    for row in rows:
        if row.attack and (curve := curve_of(row)):
            steps[row.attack] = max(steps.get(row.attack, 0), *curve)
    order = list(ATTACKS)
    return sorted(steps, key=lambda name: (-steps[name], order.index(name) if name in order else len(order)))


def curve_of(row: ResultRow) -> dict[int, float]:
    """The mean log-probability per token of given harmful answers after so many steps; empty if it was not measured."""
    found = row.attack_details.get(_CURVE)
    items = found.items() if isinstance(found, dict) else ()
    return {int(step): float(value) for step, value in items if value is not None}


def relearning_figure(rows: Sequence[ResultRow], attack: str) -> go.Figure:
    """One line per variant, the base's level without attack dashed, and a star where a line first reaches it (k*).

    Args:
        rows: rows of one measurement.
        attack: one of `relearning_attacks`.
    """
    drawn = [row for row in rows if row.attack == attack and curve_of(row)]
    looks = variant_lines(drawn)
    figure = go.Figure()
    for row in drawn:
        reached = "" if row.method == BASE else f", {_reached(row)}"
        hover = "%{x} steps: %{y:.2f} nats per token"
        add_variant_line(figure, row, looks[row.variant], curve_of(row), reached, hover)
    _mark_reached(figure, drawn)
    _add_base_level(figure, drawn)
    apply_line_theme(figure, len(drawn))
    figure.update_xaxes(title="training steps of the attack", zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="log-probability of given<br>harmful answers, nats per token", automargin=True)
    return figure


def _steps_to_base(row: ResultRow) -> int | None:
    steps = row.attack_details.get(_STEPS_TO_BASE)
    return steps if isinstance(steps, int) else None


def _reached(row: ResultRow) -> str:
    steps = _steps_to_base(row)
    return f"k* > {max(curve_of(row))}" if steps is None else f"k* = {steps}"


def _mark_reached(figure: go.Figure, rows: Sequence[ResultRow]) -> None:
    forgetful = [row for row in rows if row.method != BASE]
    reached = [(row, at) for row in forgetful if (at := _steps_to_base(row)) is not None and at in curve_of(row)]
    if reached:
        figure.add_scatter(
            x=[steps for _, steps in reached],
            y=[curve_of(row)[steps] for row, steps in reached],
            mode="text",
            text=[_STAR] * len(reached),
            textposition="top center",
            textfont={"size": 16},
            customdata=[row.variant for row, _ in reached],
            hovertext=[
                f"{variant_label(row)} is at the base's level after {steps} steps (k*)" for row, steps in reached
            ],
            hoverinfo="text",
            name=f"{_STAR} k*: first look at the base's level",
            showlegend=False,
        )


def _add_base_level(figure: go.Figure, rows: Sequence[ResultRow]) -> None:
    levels = [level for row in rows if isinstance(level := row.attack_details.get(_BASE_LEVEL), int | float)]
    if levels:
        figure.add_scatter(
            x=[0, max(step for row in rows for step in curve_of(row))],
            y=[levels[0]] * 2,
            mode="lines",
            line={"color": INK_COLOUR, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
            name="base without attack",
        )
