"""Figures are functions of a table: tested by their data, not by their pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from sku.core.methods import METHODS, TERMS
from sku.core.records import OUTCOMES, ResultRow
from sku.judges.protocol import Agreement, JudgeCard
from sku.reporting import image_export
from sku.reporting.image_export import find_browser
from sku.reporting.judge_agreement import judge_agreement_figure
from sku.reporting.loss_curves import loss_figure
from sku.reporting.markers import method_marker, outcome_marker
from sku.reporting.norm_heatmap import norm_figure
from sku.reporting.outcome_bars import outcome_figure
from sku.reporting.text import row_hover, row_line
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import KL_FLOOR


def test_a_line_a_term_with_the_logged_values() -> None:
    lines = [{"step": step, "terms": {"distortion": 4.0 / step, "preservation": 0.1 * step}} for step in (1, 2, 4)]
    figure = loss_figure(lines)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("distortion", [1, 2, 4], [4.0, 2.0, 1.0]),
        ("preservation", [1, 2, 4], [0.1, 0.2, 0.4]),
    ]


def test_terms_of_one_method_never_share_colour_and_dash() -> None:
    for method in METHODS.values():
        assert len({TERMS[name].style for name in method.terms}) == len(method.terms)


def test_no_steps_yet_is_an_empty_figure() -> None:
    assert not loss_figure([]).data


def test_no_two_methods_share_a_sign() -> None:
    kinds = [(name, None) for name in METHODS] + [("sku", "keep"), (None, None)]
    for at in (1, 2):
        assert len({(method_marker(*kind).colour, method_marker(*kind)[at]) for kind in kinds}) == len(kinds)
    assert method_marker("sku", "push") == method_marker("sku")
    assert len({outcome_marker(outcome).mark for outcome in OUTCOMES}) == len(OUTCOMES)


def row(variant: str, rate: float | None, kl: float | None, **fields: Any) -> ResultRow:
    """A row of 100 answers; `rate` has an interval of 0.05 to either side."""
    name, _, coefficient = variant.partition("@")
    broken, low, high = fields.pop("broken", 0), None, None
    if rate is not None:
        low, high = rate - 0.05, rate + 0.05
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {"side": "test", "kl": kl, "n": 100, "safe": 100 - broken, "broken": broken} | fields
    return ResultRow(variant, harmful_rate=rate, harmful_low=low, harmful_high=high, **named)


BASE = row("base", 0.5, 0.0)
SKU = [row("sku@1", 0.3, 0.1, preservation="keep"), row("sku@2", 0.1, 0.4, preservation="keep")]


def named(figure: go.Figure, name: str, mode: str = "markers") -> Any:
    (found,) = [trace for trace in figure.data if (trace.name or "").startswith(name) and trace.mode == mode]
    return found


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
    assert list(named(figure, "front", "lines").customdata) == ["sku@2", "sku@1", "base"]
    (said,) = named(figure, "Gradient ascent").text
    assert "broken 97 %" in said


def test_shipped_defaults_are_ringed_however_the_number_is_written() -> None:
    figure = tradeoff_figure([BASE, *SKU], shipped=["sku@1.0", "ga@1"])
    assert list(named(figure, "ring").customdata) == ["sku@1"]


def test_a_slider_stands_on_its_line_and_beyond_it_nowhere() -> None:
    rows = [row("sku@1", 0.3, 0.2), row("sku@2", 0.1, 0.4)]
    figure = tradeoff_figure([BASE, *rows], here=["base", "sku@1.5", "sku@2", "sku@9", "ga@1"])
    marks = named(figure, "▼", "markers+text")
    assert list(marks.customdata) == ["base", "sku@1.5", "sku@2"]
    assert list(marks.y) == pytest.approx([0.5, 0.2, 0.1])
    assert "on the line between" in marks.hovertext[1]
    assert "on the line between" not in marks.hovertext[2]


def test_between_two_points_of_a_logarithmic_axis_a_slider_stands_on_the_drawn_line() -> None:
    rows = [row("sku@1", 0.3, 0.01), row("sku@2", 0.1, 1.0)]
    (x,) = named(tradeoff_figure(rows, here=["sku@1.5"]), "▼", "markers+text").x
    assert x == pytest.approx(0.1)


def test_own_rows_are_dashed_and_never_make_the_front_of_the_study() -> None:
    mine = row("mine@1", 0.0, 0.05, method="sku", preservation="keep")
    figure = tradeoff_figure([BASE, *SKU], own=[mine])
    assert named(figure, "SKU, keep (yours)", "lines").line.dash == "dash"
    assert named(figure, "SKU, keep (yours)").marker.symbol == "star-diamond-open"
    assert "mine@1" not in named(figure, "front", "lines").customdata


def test_a_zoom_survives_new_data() -> None:
    assert (
        tradeoff_figure(SKU).layout.uirevision
        == tradeoff_figure([BASE, *SKU], here=["base"]).layout.uirevision
        is not None
    )


def test_an_empty_table_is_an_empty_plane_and_an_unknown_utility_an_error() -> None:
    assert not tradeoff_figure([]).data
    with pytest.raises(ValueError, match="utility 'beauty' is not known"):
        tradeoff_figure(SKU, "beauty")


def test_a_row_in_words() -> None:
    one = row("sku_contrast@1", 0.12, 0.09, broken=1, seed=4, preservation="keep", judge="embedded-1", mc1=0.25)
    one = replace(one, answer_tokens=19.4, over_refusal=0.05, over_refusal_n=40)
    assert row_line(one, "kl") == ("sku_contrast@1: harmful 12 % (7 to 17), KL from base 0.09 nats a token, broken 1 %")
    said = row_hover(one)
    for part in (
        "SKU contrast, keep, seed 4",
        "of 100 answers",
        "unjudged 0",
        "TruthfulQA MC1 25 %",
        "embedded-1",
        "mean length of answers to harmful prompts: 19 tokens",
        "over-refusal 5 % (1 to 17)",
    ):
        assert part in said
    assert "<i>" not in row_hover(row("<i>@1", 0.1, 0.1, method="sku"))


def test_outcomes_fill_a_bar_and_say_word_and_count() -> None:
    rows = [row("a@1", 0.5, 0.1, harmful=50, safe=20, refusal=20, unjudged=10), row("b@1", 0.0, 0.1, broken=40)]
    figure = outcome_figure([*rows, row("c@1", None, None, n=0, safe=0)])
    assert [trace.name.split()[1] for trace in figure.data] == list(OUTCOMES)
    for i in range(2):
        assert sum(trace.x[i] for trace in figure.data) == pytest.approx(1)
    assert figure.data[0].text == ("50 harmful", "")
    assert figure.data[3].text == ("", "40 broken")
    assert figure.layout.yaxis.ticktext == ("a@1", "b@1")
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}
    assert len(looks) == len(OUTCOMES)
    assert figure.data[4].marker.color == "rgba(0,0,0,0)", "the unjudged are hollow"


def test_a_judge_card_has_a_dot_with_an_interval_a_judge_and_set_of_labels() -> None:
    two = (Agreement("all", 100, 0.8, 0.7, 0.88, 0.9), Agreement("clear", 60, 0.9, 0.8, 0.95))
    cards = [
        JudgeCard("embedded", "1", "embedded", 0.5, "Apache-2.0", "", two),
        JudgeCard("keyword", "2", "keyword", 0.5, "Apache-2.0", "", two[:1]),
        JudgeCard("hub", "1", "hub", 0.5, "?", ""),
    ]
    figure = judge_agreement_figure(cards)
    assert [trace.name for trace in figure.data] == ["embedded-1", "keyword-2"]
    first, second = figure.data
    assert list(first.x) == [0.8, 0.9]
    assert list(first.error_x.array) == pytest.approx([0.08, 0.05])
    assert list(first.error_x.arrayminus) == pytest.approx([0.1, 0.1])
    assert first.marker.symbol != second.marker.symbol
    assert first.y[0] != second.y[0], "judges of one row stand beside each other"


def test_norms_are_a_cell_a_layer_and_module() -> None:
    (heat,) = norm_figure({"q_proj": [1.0, 2.0, 3.0], "v_proj": [None, 0.5, 0.0]}).data
    assert [list(cells) for cells in heat.z] == [[1.0, None], [2.0, 0.5], [3.0, 0.0]]
    assert not norm_figure({}).data
    with pytest.raises(ValueError, match=r"modules have \[1, 2\] layers"):
        norm_figure({"q_proj": [1.0], "v_proj": [1.0, 2.0]})


def test_a_html_needs_no_network(tmp_path: Path) -> None:
    image_export.write_figure(tradeoff_figure([BASE, *SKU]), tmp_path / "new" / "figure.html")
    text = (tmp_path / "new" / "figure.html").read_text(encoding="utf-8")
    assert "plotly.js v" in text, "the library must be inside"
    assert 'src="http' not in text
    assert "sku@2" in text


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
def test_a_png_is_drawn_by_a_browser(tmp_path: Path) -> None:
    image_export.write_figure(tradeoff_figure([BASE, *SKU]), tmp_path / "figure.png", width=600)
    data = (tmp_path / "figure.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(data[16:20], "big") == 1200, "600 pixels at double resolution"
    assert len(data) > 20_000, "an empty page is smaller"


def test_a_picture_that_nothing_can_draw_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(OSError, match="install chromium-headless-shell"):
        image_export.write_figure(tradeoff_figure(SKU), tmp_path / "figure.png")
    with pytest.raises(ValueError, match=r"end in \.html or \.png"):
        image_export.write_figure(tradeoff_figure(SKU), tmp_path / "figure.jpg")


def test_no_two_methods_are_told_apart_by_colour_alone() -> None:
    signs = [method_marker(name) for name in METHODS] + [method_marker("sku", "keep")]
    for shapes in ([one.mark for one in signs], [one.symbol for one in signs]):
        assert len(set(shapes)) == len(shapes)
