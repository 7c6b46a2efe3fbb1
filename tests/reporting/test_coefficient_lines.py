"""Which rows of the trade-off are joined by a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sku.reporting.coefficient_lines import coefficient_lines
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import KL_FLOOR
from tests.reporting.drawn import BASE, SKU, named, row


def test_a_training_is_a_line_from_the_base_along_its_coefficient() -> None:
    figure = tradeoff_figure([SKU[1], BASE, SKU[0]])
    drawn = named(figure, "SKU, keep", "lines")
    assert (list(drawn.x), list(drawn.y)) == ([KL_FLOOR, 0.1, 0.4], [0.5, 0.3, 0.1])
    marks = named(figure, "SKU, keep")
    assert list(marks.customdata) == ["sku@2", "sku@1"]
    assert list(marks.error_y.array) == pytest.approx([0.05, 0.05])
    assert (marks.marker.color, marks.marker.symbol) == ("#56b4e9", "star-diamond")
    assert list(named(figure, "base").customdata) == ["base"]


def test_seeds_preservations_and_methods_are_lines_of_their_own_and_kinds_share_a_legend() -> None:
    rows = [
        row(f"{run}@{c}", 0.4 / c, 0.1 * c, method="sku", run=run, seed=seed, preservation=kept)
        for run, seed, kept in (("a", 0, "keep"), ("b", 1, "keep"), ("c", 0, "push"))
        for c in (1, 2)
    ]
    figure = tradeoff_figure(rows)
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.name.startswith("SKU")]
    assert [trace.name for trace in lines] == ["SKU, keep", "SKU, keep", "SKU, push"]
    shown = [trace.name for trace in figure.data if trace.mode == "markers" and trace.showlegend is not False]
    assert shown == ["SKU, keep", "SKU, push"]


def test_checkpoints_along_one_training_are_a_line_along_its_steps_to_its_end() -> None:
    snapshots = [row(f"ga/step-{s}@1", 1 / s, 0.1 * s, method="ga", coefficient=1.0, steps=s) for s in (20, 10)]
    end = [row("ga@1", 0.02, 5.0, steps=30), row("ga@1.5", 0.01, 9.0, steps=30)]
    figure = tradeoff_figure([BASE, *snapshots, *end])
    lines = [list(trace.y) for trace in figure.data if trace.mode == "lines" and trace.name == "Gradient ascent"]
    assert lines == [[0.5, 0.02, 0.01], [0.5, 1 / 10, 1 / 20, 0.02]]
    assert len(named(figure, "Gradient ascent").customdata) == 4, "a row on two lines is one mark"


def test_lone_points_of_different_trainings_are_not_joined() -> None:
    rows = [row(f"{run}@1", 0.2, 0.3, method="ga", run=run, steps=30) for run in ("mine", "yours")]
    assert [
        list(t.y) for t in tradeoff_figure([BASE, *rows]).data if t.name == "Gradient ascent" and t.mode == "lines"
    ] == [
        [0.5, 0.2],
        [0.5, 0.2],
    ]


def test_sums_of_the_same_adapters_are_points_of_their_own() -> None:
    """They have no coefficient in common along which a line could run."""
    sums = [
        replace(row("x@1", 0.4, c), variant=f"ga@{c}+sku@1", method="sum", coefficient=None, run="ga+sku")
        for c in (0.5, 1.0, 0.1)
    ]
    lines = [[one.variant for one in line] for line in coefficient_lines([BASE, *sums])]
    assert sorted(lines) == sorted(["base", one.variant] for one in sums)
