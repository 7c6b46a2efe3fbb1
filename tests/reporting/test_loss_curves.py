"""Losses of a training, step by step."""

from __future__ import annotations

from sku.reporting.loss_curves import loss_figure


def test_a_line_a_term_with_the_logged_values() -> None:
    lines = [{"step": step, "terms": {"distortion": 4.0 / step, "preservation": 0.1 * step}} for step in (1, 2, 4)]
    figure = loss_figure(lines)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("distortion", [1, 2, 4], [4.0, 2.0, 1.0]),
        ("preservation", [1, 2, 4], [0.1, 0.2, 0.4]),
    ]


def test_no_steps_yet_is_an_empty_figure() -> None:
    assert not loss_figure([]).data
