"""The trade-off figure, tested by its data and not by its pixels."""

from __future__ import annotations

import pytest

from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import KL_FLOOR
from tests.reporting.drawn import BASE, SKU, named, row


def test_kl_over_decades_is_logarithmic_and_the_base_is_drawn_where_the_title_says() -> None:
    figure = tradeoff_figure([BASE, row("sku@1", 0.3, 0.01, kl_low=0.0, kl_high=0.03), row("sku@2", 0.1, 2.0)])
    assert figure.layout.xaxis.type == "log"
    assert list(named(figure, "base").x) == [KL_FLOOR]
    assert f"0 drawn at {KL_FLOOR:g}" in figure.layout.xaxis.title.text
    whiskers = named(figure, "SKU").error_x
    assert list(whiskers.array) == [pytest.approx(0.02), None], "an unknown interval is no interval"
    assert whiskers.arrayminus[0] == pytest.approx(0.01 - KL_FLOOR)
    assert tradeoff_figure([BASE, *SKU[:1]]).layout.xaxis.type == "log"
    assert tradeoff_figure(SKU).layout.xaxis.type == "linear"


def test_what_was_not_measured_is_not_drawn_at_zero() -> None:
    figure = tradeoff_figure([BASE, *SKU, row("tv@1", None, 0.2), row("ft@1", 0.2, None)])
    drawn = {variant for trace in figure.data for variant in trace.customdata or ()}
    assert drawn == {"base", "sku@1", "sku@2"}


def test_a_dead_model_is_crossed_out_and_off_the_front_and_its_share_is_said() -> None:
    ga = row("ga@1", 0.0, 3.0, broken=97)
    figure = tradeoff_figure([BASE, *SKU, ga])
    assert list(named(figure, "broken").customdata) == ["ga@1"]
    assert list(named(figure, "Pareto front", "lines").customdata) == ["sku@2", "sku@1", "base"]
    (said,) = named(figure, "Gradient ascent").text
    assert "broken 97 %" in said


def test_own_rows_are_dashed_and_never_make_the_front_of_the_study() -> None:
    mine = row("mine@1", 0.0, 0.05, method="sku", preservation="keep")
    figure = tradeoff_figure([BASE, *SKU], own=[mine])
    assert named(figure, "SKU, keep (yours)", "lines").line.dash == "dash"
    assert named(figure, "SKU, keep (yours)").marker.symbol == "star-diamond-open"
    assert "mine@1" not in named(figure, "Pareto front", "lines").customdata


def test_a_zoom_survives_new_data() -> None:
    assert (
        tradeoff_figure(SKU).layout.uirevision
        == tradeoff_figure([BASE, *SKU], compared=["base"]).layout.uirevision
        is not None
    )


def test_an_empty_table_is_an_empty_plane_and_an_unknown_utility_an_error() -> None:
    assert not tradeoff_figure([]).data
    with pytest.raises(ValueError, match="utility 'beauty' is not known"):
        tradeoff_figure(SKU, "beauty")
