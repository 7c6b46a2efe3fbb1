"""Rings around what is shipped, and where the sliders stand."""

from __future__ import annotations

import pytest

from sku.reporting.tradeoff_plot import tradeoff_figure
from tests.reporting.drawn import BASE, SKU, named, row


def test_shipped_defaults_are_ringed_however_the_number_is_written() -> None:
    figure = tradeoff_figure([BASE, *SKU], shipped=["sku@1.0", "ga@1"])
    assert list(named(figure, "ring").customdata) == ["sku@1"]


def test_a_slider_stands_on_its_line_and_beyond_it_nowhere() -> None:
    rows = [row("sku@1", 0.3, 0.2), row("sku@2", 0.1, 0.4)]
    figure = tradeoff_figure([BASE, *rows], compared=["base", "sku@1.5", "sku@2", "sku@9", "ga@1"])
    marks = named(figure, "columns of Compare", "markers+text")
    assert list(marks.customdata) == ["base", "sku@1.5", "sku@2"]
    assert list(marks.y) == pytest.approx([0.5, 0.2, 0.1])
    assert "on the line between" in marks.hovertext[1]
    assert "on the line between" not in marks.hovertext[2]


def test_between_two_points_of_a_logarithmic_axis_a_slider_stands_on_the_drawn_line() -> None:
    rows = [row("sku@1", 0.3, 0.01), row("sku@2", 0.1, 1.0)]
    (x,) = named(tradeoff_figure(rows, compared=["sku@1.5"]), "columns of Compare", "markers+text").x
    assert x == pytest.approx(0.1)
