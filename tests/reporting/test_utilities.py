"""A utility is one record: value, interval, axis and words derive from it."""

from __future__ import annotations

import pytest

from sku.core.intervals import wilson
from sku.reporting.coefficient_lines import MIN_RATIO_FOR_LOG_AXIS, cost_axis
from sku.reporting.row_text import row_hover, row_line
from sku.reporting.tradeoff_plot import tradeoff_figure
from sku.reporting.utilities import KL_FLOOR, UTILITIES, Utility, find_utility, share, utility_interval, utility_value
from tests.reporting.rows import BASE, row


def test_the_interval_of_kl_is_the_rows_own() -> None:
    assert utility_interval(row("sku@1", 0.1, 0.2, kl_low=0.1, kl_high=0.4), "kl") == (0.1, 0.4)
    assert utility_interval(row("sku@1", 0.1, 0.2, kl_low=0.1), "kl") is None, "half an interval is none"


@pytest.mark.parametrize(
    ("utility", "fields"),
    [
        ("over_refusal", {"over_refusal": 0.25, "over_refusal_n": 40}),
        ("normal_broken", {"normal_broken": 10, "normal_n": 40}),
    ],
)
def test_the_interval_of_a_counted_share_is_wilsons(utility: str, fields: dict[str, float]) -> None:
    found = row("sku@1", **fields)
    counted = wilson(10, 40)
    assert utility_value(found, utility) == 0.25
    assert utility_interval(found, utility) == (counted.low, counted.high)
    assert utility_interval(BASE, utility) is None, "nothing counted has no interval"


def test_a_share_whose_answers_are_not_counted_has_no_interval() -> None:
    assert utility_value(row("sku@1", mc1=0.5), "mc1") == 0.5
    assert utility_interval(row("sku@1", mc1=0.5), "mc1") is None


@pytest.mark.parametrize("name", UTILITIES)
def test_an_axis_is_logarithmic_where_the_record_allows_it_and_values_span_decades(name: str) -> None:
    fields = "normal_broken" if name == "normal_broken" else name
    rows = [row(f"sku@{i}", **{fields: value, "normal_n": 1000}) for i, value in ((1, 1), (2, 100))]
    floor = find_utility(name).log_floor
    axis = cost_axis(rows, name)
    assert axis.logarithmic is (floor is not None)
    assert axis.logarithmic is (name in ("kl", "perplexity", "own_perplexity", "answer_perplexity"))
    assert axis.floor == (KL_FLOOR if name == "kl" else 0.0)
    near = [row(f"sku@{i}", **{fields: value, "normal_n": 1000}) for i, value in ((1, 1), (2, MIN_RATIO_FOR_LOG_AXIS))]
    assert not cost_axis(near, name).logarithmic


def test_an_unknown_utility_is_told_what_is_known() -> None:
    for asked in (lambda: find_utility("beauty"), lambda: utility_interval(BASE, "beauty"), lambda: cost_axis([], "x")):
        with pytest.raises(ValueError, match=r"utility '\w+' is not known; choose one of kl, perplexity"):
            asked()


def test_a_new_record_is_drawn_and_told_without_another_change(monkeypatch: pytest.MonkeyPatch) -> None:
    length = Utility(
        "answer length",
        "tokens",
        "high",
        "of answers to harmful prompts",
        value=lambda row: row.answer_tokens,
        interval=lambda row: (row.kl_low, row.kl_high),
        log_floor=1.0,
    )
    monkeypatch.setitem(UTILITIES, "length", length)
    rows = [row("sku@1", 0.2, answer_tokens=2.0, kl_low=0.5, kl_high=4.0), row("sku@2", 0.1, answer_tokens=200.0)]
    figure = tradeoff_figure(rows, "length")
    assert figure.layout.xaxis.type == "log"
    title = figure.layout.xaxis.title.text
    assert title.startswith("answer length, tokens<br>higher is better; log, 0 drawn at 1")
    (marks,) = [trace for trace in figure.data if trace.name == "SKU" and trace.mode == "markers"]
    assert list(marks.x) == [2.0, 200.0]
    assert list(marks.error_x.array) == [2.0, None]
    assert list(marks.error_x.arrayminus) == [1.0, None], "the lower end is drawn at the floor"
    assert "answer length 2 tokens" in row_line(rows[0], "length")
    assert "answer length 2 tokens (0.5 to 4)" in row_hover(rows[0])


def test_every_utility_is_read_from_a_row_or_unknown() -> None:
    assert {name: utility_value(BASE, name) for name in UTILITIES if name != "kl"} == dict.fromkeys(
        set(UTILITIES) - {"kl"}
    )
    assert utility_value(row("sku@1", normal_n=8, normal_broken=2), "normal_broken") == 0.25
    with pytest.raises(ValueError, match="utility 'beauty' is not known; choose one of kl"):
        utility_value(BASE, "beauty")


def test_a_share_of_nothing_and_a_count_of_nobody_are_unknown() -> None:
    assert share(3, 4) == 0.75
    assert share(0, 4) == 0.0
    assert share(0, 0) is None
    assert share(None, 4) is None
