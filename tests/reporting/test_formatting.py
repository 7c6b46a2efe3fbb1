"""Numbers as text: each form once, and a dash where a number is unknown."""

from __future__ import annotations

from sku.reporting import formatting


def test_a_share_is_in_percent_with_its_interval() -> None:
    assert formatting.percent(0.125, digits=1) == "12.5 %"
    assert formatting.percent(0.0) == "0 %"
    assert formatting.percent_with_interval(0.123, 0.08, 0.2) == "12 % (8 to 20)"
    assert formatting.percent_with_interval(0.123, 0.081, 0.2, digits=1) == "12.3 % (8.1 to 20.0)"
    assert formatting.percent_number(0.12345) == 12.3


def test_a_number_has_three_figures_its_unit_and_its_interval() -> None:
    assert formatting.with_unit(0.08483, "nats per token") == "0.0848 nats per token"
    assert formatting.with_unit(1234.5) == "1.23e+03"
    assert formatting.with_unit(0.5, "%") == "50 %"
    assert formatting.with_interval(0.085, 0.049, 0.134, "nats per token") == "0.085 nats per token (0.049 to 0.134)"
    assert formatting.with_interval(0.5, 0.4, 0.6, "%") == "50 % (40 to 60)"
    assert formatting.fixed(0.0854, 3) == "0.085"


def test_a_change_has_its_sign_and_is_in_points() -> None:
    assert formatting.points(-0.214, -0.27, -0.15) == "-21 points (-27 to -15)"
    assert formatting.points(0.02) == "+2 points"


def test_unknown_is_a_dash_and_an_unknown_interval_is_left_out() -> None:
    assert formatting.percent(None) == formatting.points(None) == formatting.with_unit(None, "%") == "-"
    assert formatting.fixed(None, 3) == formatting.with_interval(None, None, None) == "-"
    assert formatting.percent_with_interval(None, None, None) == "-"
    assert formatting.percent_with_interval(0.5, None, 0.6) == "50 %"
    assert formatting.with_interval(2.0, None, None) == "2"
    assert formatting.percent_range(None, 0.5) == ""
    assert formatting.percent_number(None) is None
