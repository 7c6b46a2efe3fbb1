"""Rows survive the disk, a damaged line is named, and a dead model is on no front."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku import results
from sku.records import ResultRow
from sku.results import UTILITIES, dead, front, own, read, recorded, table, value, write


def row(variant: str, rate: float | None = None, kl: float | None = None, **fields: Any) -> ResultRow:
    """A row of 100 answers, the broken ones given, the others safe."""
    method = variant.partition("@")[0]
    broken = fields.pop("broken", 0)
    named = {"method": method, "coefficient": 1.0, "run": method, "model": "m", "side": "test"} | fields
    return ResultRow(variant, n=100, safe=100 - broken, broken=broken, harmful_rate=rate, kl=kl, **named)


BASE = row("base", 0.5, 0.0, coefficient=0.0)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [BASE, row("sku@1", 0.1, 0.25, decoding={"seed": 3}, sets={"bundled": "ab12"}, seed=7, judge="é-1")]
    write(tmp_path / "new" / "rows.jsonl", rows)
    assert read(tmp_path / "new" / "rows.jsonl") == rows


def test_writing_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [BASE] * 5)
    write(tmp_path / "rows.jsonl", [])
    assert read(tmp_path / "rows.jsonl") == []
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_number_that_is_not_finite_is_unknown(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [row("ga@1", 0.0, math.nan, perplexity=math.inf)])
    (found,) = read(tmp_path / "rows.jsonl")
    assert (found.kl, found.perplexity) == (None, None)


GOOD = {"variant": "sku@1", "method": "sku", "coefficient": 1.0, "run": "sku", "model": "m", "side": "test"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{half", "is damaged"),
        ("[1, 2]", "is no object"),
        (json.dumps(GOOD | {"tomorrow": 1}), "unknown column 'tomorrow'"),
        (json.dumps({"variant": "sku@1"}), "lacks the column 'method'"),
        (json.dumps(GOOD | {"kl": "low"}), "kl is 'low', which is no float or None"),
        (json.dumps(GOOD | {"n": None}), "n is None, which is no int"),
        (json.dumps(GOOD | {"n": True}), "n is True, which is no int"),
        (json.dumps(GOOD | {"kl": math.nan}), "kl is nan"),
        (json.dumps(GOOD | {"n": 3}), "add up to 0, not to its 3 answers"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 3") as error:
        read(path)
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_an_error_but_a_study_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "rows.jsonl")
    monkeypatch.setattr(results, "RECORDED", tmp_path / "study.jsonl")
    assert recorded() == []
    write(tmp_path / "study.jsonl", [BASE])
    assert recorded() == [BASE]
    write(tmp_path / "validation.jsonl", [row("base", side="validation")])
    assert [one.side for one in recorded()] == ["test", "validation"]


def test_a_damaged_file_of_a_visitor_hides_no_other(sku_home: Path) -> None:
    assert own() == ([], [])
    write(sku_home / "results" / "b.jsonl", [BASE])
    (sku_home / "results" / "a.jsonl").write_text("{half\n", encoding="utf-8")
    rows, faults = own()
    assert rows == [BASE]
    assert len(faults) == 1
    assert "a.jsonl, line 1" in faults[0]


def test_a_table_has_a_line_a_row_and_a_column_a_field() -> None:
    frame = table([BASE, row("sku@1", 0.1, 0.25, decoding={"seed": 3})])
    assert list(frame["variant"]) == ["base", "sku@1"]
    assert list(frame["kl"]) == [0.0, 0.25]
    assert frame["decoding"][1] == '{"seed": 3}'
    assert list(table([]).columns) == list(frame.columns)


def test_rows_for_a_terminal_show_a_dash_for_unknown() -> None:
    first, second, third = results.text(
        [BASE, row("sku@1", 0.123, harmful_low=0.08, harmful_high=0.2, over_refusal=0.5)]
    ).split("\n")
    assert first.split()[:2] == ["variant", "harmful"]
    assert second.split() == ["base", "50", "%", "-", "0", "%", "0", "of", "100", "0", "-", "-"]
    assert "12 % (8 to 20)" in third
    assert third.endswith("50 %")


def test_the_front_of_four_rows() -> None:
    good, better, worse = row("sku@1", 0.2, 0.1), row("sku@2", 0.1, 0.4), row("tv@1", 0.3, 0.2)
    assert front([BASE, worse, good, better], "kl") == [better, good, BASE]


def test_more_similarity_is_better() -> None:
    near, far = row("sku@1", 0.2, similarity=0.9), row("tv@1", 0.2, similarity=0.3)
    assert front([far, near], "similarity") == [near]


@pytest.mark.parametrize(("broken", "wins"), [(6, True), (7, False), (100, False)])
def test_a_dead_model_does_not_win(broken: int, wins: bool) -> None:
    base = row("base", 0.5, 0.0, coefficient=0.0, broken=1)  # 5 points above its 1 % is 6 %
    ga = row("ga@1", 0.0, 3.0, broken=broken)
    assert (ga in front([base, ga], "kl")) is wins


def test_a_model_that_breaks_normal_answers_only_is_dead_too() -> None:
    base = row("base", 0.5, 0.0, normal_n=50, normal_broken=1)
    assert dead(row("ga@1", 0.0, 1.0, normal_n=50, normal_broken=10), base)
    assert not dead(row("ga@1", 0.0, 1.0, normal_n=50, normal_broken=3), base)
    assert dead(row("ga@1", 0.0, 1.0, broken=6), None), "without a base every broken answer counts"


def test_what_was_not_measured_is_on_no_front() -> None:
    assert front([row("sku@1", None, 0.1), row("sku@2", 0.1, None)], "kl") == []


_POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 9), st.integers(0, 100)), max_size=12)


@given(_POINTS)
def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is_beaten_or_dead(
    points: list[tuple[float, float, int]],
) -> None:
    rows = [BASE, *(row(f"sku@{i}", rate, kl, broken=broken) for i, (rate, kl, broken) in enumerate(points))]
    best = front(rows, "kl")

    def beaten(one: ResultRow) -> bool:
        place = (one.harmful_rate or 0.0, one.kl or 0.0)
        others = [(other.harmful_rate or 0.0, other.kl or 0.0) for other in rows if not dead(other, BASE)]
        return any(o[0] <= place[0] and o[1] <= place[1] and o != place for o in others)

    for one in rows:
        assert (one in best) is not (beaten(one) or dead(one, BASE))


def test_every_utility_is_read_from_a_row_or_unknown() -> None:
    assert {name: value(BASE, name) for name in UTILITIES if name != "kl"} == dict.fromkeys(set(UTILITIES) - {"kl"})
    assert value(row("sku@1", normal_n=8, normal_broken=2), "normal_broken") == 0.25
    with pytest.raises(ValueError, match="utility 'beauty' is not known; choose one of kl"):
        value(BASE, "beauty")


def test_a_row_is_compared_with_the_base_that_was_measured_as_it_was() -> None:
    study_base, study_row = BASE, row("sku@1", 0.2, 0.1)
    own_base = row("base", 0.5, 0.0, coefficient=0.0, broken=10, sets={"harmful": "mine"})
    own_row = row("mine@1", 0.2, 0.1, method="tv", broken=12, sets={"harmful": "mine"})
    rows = [study_base, study_row, own_base, own_row]
    assert [results.base_of(one, rows) for one in rows] == [study_base, study_base, own_base, own_base]
    assert not any(dead(one, results.base_of(one, rows)) for one in rows)


def test_a_change_is_told_in_points_and_unknown_as_nothing() -> None:
    assert results.change(BASE) == ""
    changed = row("sku@1", 0.2, harmful_change=-0.274, harmful_change_low=-0.38, harmful_change_high=-0.156)
    assert results.change(changed) == "-27 points (-38 to -16)"
    assert "-27 points (-38 to -16)" in results.text([changed])


def test_a_row_whose_variant_cannot_be_asked_is_named(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [row("mine@20", method="tv")])
    with pytest.raises(ValueError, match=r"line 1: coefficient '20' of variant 'mine@20'"):
        read(tmp_path / "rows.jsonl")
