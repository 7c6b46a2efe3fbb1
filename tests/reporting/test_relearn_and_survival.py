"""Curves of relearning and survival of rounding, tested by their data."""

from __future__ import annotations

from sku.core.records import ResultRow
from sku.reporting.relearn_curves import curve_of, relearning_attacks, relearning_figure
from sku.reporting.survival_plot import rounding_attacks, survival_figure
from sku.reporting.variant_lines import variant_lines
from tests.reporting.rows import ATTACKED, attacked


def relearned(
    variant: str, attack: str, curve: dict[str, float | None], reached: int | None, **fields: object
) -> ResultRow:
    details = {"log_prob_by_step": curve, "steps_to_base": reached, "base_log_prob": -4.0}
    return attacked(variant, attack, 3, attack_details=details, **fields)


def rounded(variant: str, attack: str, layers: dict[str, float], survived: float) -> ResultRow:
    return attacked(variant, attack, 3, attack_details={"survived": survived, "survived_by_layer": layers})


CURVES = [
    relearned("base", "relearn-10", {"0": -4.0, "5": -3.8, "10": -3.6}, 0),
    relearned("ga@1", "relearn-10", {"10": -3.7, "0": -5.0, "5": -3.9}, 5),
    relearned("sku@2", "relearn-10", {"0": -5.5, "5": -4.9, "10": -4.4}, None),
    relearned("ga@1", "relearn-benign", {"0": -5.0, "50": -4.9}, None),
    *ATTACKED,
]


def test_a_variant_has_a_line_through_its_looks_in_order() -> None:
    figure = relearning_figure(CURVES, "relearn-10")
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines["ga@1, k* = 5"].x) == [0, 5, 10]
    assert list(lines["ga@1, k* = 5"].y) == [-5.0, -3.9, -3.7]
    assert "sku@2, k* > 10" in lines, "what did not come back says how long was looked"
    assert "base" in lines, "the base has no k*: it is the level"
    assert set(lines) == {"base", "ga@1, k* = 5", "sku@2, k* > 10", "base without attack"} | {
        name for name in lines if name.startswith("★")
    }


def test_the_base_level_is_dashed_and_a_star_marks_where_it_is_reached() -> None:
    figure = relearning_figure(CURVES, "relearn-10")
    (level,) = [trace for trace in figure.data if trace.name == "base without attack"]
    assert (list(level.x), list(level.y), level.line.dash) == ([0, 10], [-4.0, -4.0], "dash")
    (stars,) = [trace for trace in figure.data if trace.name.startswith("★")]
    assert (list(stars.x), list(stars.y), list(stars.customdata)) == ([5], [-3.9], ["ga@1"])


def test_the_longest_training_is_offered_first_and_rows_without_a_curve_not_at_all() -> None:
    assert relearning_attacks(CURVES) == ["relearn-benign", "relearn-10"]
    assert relearning_attacks(ATTACKED) == []
    assert len(relearning_figure(CURVES, "relearn-benign").data) == 2, "a line and the level"
    assert not relearning_figure(ATTACKED, "relearn-10").data


def test_a_look_that_found_nothing_is_left_out() -> None:
    assert curve_of(relearned("ga@1", "relearn-10", {"0": None, "5": -4.0}, None)) == {5: -4.0}
    assert curve_of(attacked("ga@1", "relearn-10", 1, attack_details={"log_prob_by_step": "half"})) == {}


def test_survival_has_a_line_over_layers_in_order_and_the_share_in_all() -> None:
    rows = [
        rounded("ga@1", "int4", {"10": 0.1, "2": 0.05, "lm_head": 0.9}, 0.08),
        rounded("ga@1", "int8", {"0": 1.0}, 1.0),
    ]
    assert rounding_attacks([*rows, *ATTACKED]) == ["int4", "int8"]
    (line,) = survival_figure(rows, "int4").data
    assert (line.name, list(line.x), list(line.y)) == ("ga@1, 8 % in all", [2, 10], [0.05, 0.1])
    assert survival_figure(rows, "int4").layout.shapes[0].y0 == 1, "all of the vector"
    assert not survival_figure(ATTACKED, "int4").data


def test_lines_of_one_method_differ_in_their_dash() -> None:
    rows = [attacked(name, "int4", 1) for name in ("sku@1", "ga@1", "sku@2", "sku@1")]
    looks = variant_lines(rows)
    assert [looks[name].dash for name in ("sku@1", "ga@1", "sku@2")] == ["solid", "solid", "dash"]
    assert looks["sku@1"].marker == looks["sku@2"].marker != looks["ga@1"].marker
