"""The trade-off figure, tested by its data and not by its pixels."""

from __future__ import annotations

import pytest

from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import KL_FLOOR
from tests.reporting.drawn import BASE, SKU, named
from tests.reporting.drawn import row as drawn_row
from tests.reporting.rows import BASE as PLAIN_BASE
from tests.reporting.rows import row as made_row


def test_kl_over_decades_is_logarithmic_and_the_base_is_drawn_where_the_title_says() -> None:
    figure = tradeoff_figure(
        [BASE, drawn_row("sku@1", 0.3, 0.01, kl_low=0.0, kl_high=0.03), drawn_row("sku@2", 0.1, 2.0)]
    )
    assert figure.layout.xaxis.type == "log"
    assert list(named(figure, "base").x) == [KL_FLOOR]
    assert f"0 drawn at {KL_FLOOR:g}" in figure.layout.xaxis.title.text
    whiskers = named(figure, "SKU").error_x
    assert list(whiskers.array) == [pytest.approx(0.02), None], "an unknown interval is no interval"
    assert whiskers.arrayminus[0] == pytest.approx(0.01 - KL_FLOOR)
    assert tradeoff_figure([BASE, *SKU[:1]]).layout.xaxis.type == "log"
    assert tradeoff_figure(SKU).layout.xaxis.type == "linear"


def test_what_was_not_measured_is_not_drawn_at_zero() -> None:
    figure = tradeoff_figure([BASE, *SKU, drawn_row("tv@1", None, 0.2), drawn_row("ft@1", 0.2, None)])
    drawn = {variant for trace in figure.data for variant in trace.customdata or ()}
    assert drawn == {"base", "sku@1", "sku@2"}


def test_a_dead_model_is_crossed_out_and_off_the_front_and_its_share_is_said() -> None:
    ga = drawn_row("ga@1", 0.0, 3.0, broken=97)
    figure = tradeoff_figure([BASE, *SKU, ga])
    assert list(named(figure, "broken").customdata) == ["ga@1"]
    assert list(named(figure, "Pareto front", "lines").customdata) == ["sku@2", "sku@1", "base"]
    (said,) = named(figure, "Gradient ascent").text
    assert "broken 97 %" in said


def test_own_rows_are_dashed_and_never_make_the_front_of_the_study() -> None:
    mine = drawn_row("mine@1", 0.0, 0.05, method="sku", preservation="keep")
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


def test_main_lines_are_labelled_at_their_ends_and_the_others_are_faint() -> None:
    main = [made_row(f"sku@{c}", 0.4 - c / 10, c / 10, run="sku", coefficient=float(c)) for c in (1, 2, 3)]
    other = [made_row(f"ft@{c}", 0.4, c / 10, run="ft", coefficient=float(c)) for c in (1, 2, 3)]
    figure = tradeoff_figure([PLAIN_BASE, *main, *other], shipped=["sku@2"], main=["sku"])
    lines = [trace for trace in figure.data if trace.mode in ("lines+text", "lines") and trace.line.dash == "solid"]
    assert [(trace.mode, trace.opacity) for trace in lines] == [("lines+text", 1.0), ("lines", 0.25)]
    assert lines[0].text[-1] == "SKU (ours)"
    assert not any(lines[0].text[:-1])


def test_only_recommended_points_have_whiskers_and_all_hover_boxes_the_interval() -> None:
    rows = [
        made_row(f"sku@{c}", 0.2, c / 10, run="sku", coefficient=float(c), harmful_low=0.1, harmful_high=0.4)
        for c in (1, 2)
    ]
    (marks,) = [trace for trace in tradeoff_figure(rows, shipped=["sku@2"]).data if trace.mode == "markers"][:1]
    assert list(marks.error_y.array) == [None, pytest.approx(0.2)]
    assert all("(10 to 40)" in text for text in marks.text)


def test_a_chosen_point_has_whiskers_and_every_mark_carries_its_own_for_the_pointer() -> None:
    rows = [
        made_row(f"sku@{c}", 0.2, c / 10, run="sku", coefficient=float(c), harmful_low=0.1, harmful_high=0.4)
        for c in (1, 2, 3)
    ]
    figure = tradeoff_figure(rows, shipped=["sku@2"], chosen="sku@3")
    (marks,) = [trace for trace in figure.data if trace.mode == "markers"][:1]
    assert list(marks.error_y.array) == [None, pytest.approx(0.2), pytest.approx(0.2)]
    assert [whiskers[:2] for whiskers in marks.meta["whiskers"]] == [[pytest.approx(0.2), pytest.approx(0.1)]] * 3
    assert figure.data[-1].meta == {"hovered": True}, "the trace in which the page draws them"


def test_over_refusal_has_no_lines_and_its_marks_stand_in_the_legend() -> None:
    rows = [
        made_row(f"sku@{c}", 0.4, c / 10, run="sku", coefficient=float(c), over_refusal=c / 20, over_refusal_n=40)
        for c in (1, 2, 3)
    ]
    drawn = {name: tradeoff_figure(rows, name, compared=["sku@1.5"], main=["sku"]) for name in ("kl", "over_refusal")}
    lines = {
        name: [trace for trace in figure.data if "lines" in trace.mode and not str(trace.name).startswith("Pareto")]
        for name, figure in drawn.items()
    }
    assert (len(lines["kl"]), len(lines["over_refusal"])) == (1, 0)
    assert [trace.showlegend for trace in drawn["over_refusal"].data if trace.name == "SKU"] == [True]
    pointers = {
        name: [t for t in figure.data if str(t.name).startswith("columns of")] for name, figure in drawn.items()
    }
    assert (len(pointers["kl"]), len(pointers["over_refusal"])) == (1, 0), "no line, so nothing between its points"


def test_the_front_is_shaded_and_its_grid_reads_on_black() -> None:
    rows = [PLAIN_BASE, made_row("sku@1", 0.2, 0.001, coefficient=1.0), made_row("sku@2", 0.1, 0.5, coefficient=2.0)]
    figure = tradeoff_figure(rows)
    (front,) = [trace for trace in figure.data if trace.name and trace.name.startswith("Pareto")]
    assert front.fill == "tozeroy"
    assert figure.layout.xaxis.minor.gridcolor == figure.layout.xaxis.gridcolor
