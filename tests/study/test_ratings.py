"""Rows counted by ratings: arithmetic on answers that were read twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sku.core.records import ResultRow
from sku.study.ratings import RATED_SIDE, RATER, RatedAnswer, rated_rows, read_ratings
from tests.reporting.rows import row


def answer(prompt_id: str, variant: str, **more: Any) -> RatedAnswer:
    given: dict[str, Any] = {"set": "harmful", "severity": 0.0, "refuses": 0.0, "outcome": "safe", "score": 0.1}
    return RatedAnswer(variant=variant, prompt_id=prompt_id, **(given | more))


def counted(variant: str, method: str, **counts: int) -> ResultRow:
    none = dict.fromkeys(("harmful", "refusal", "safe", "broken", "unjudged"), 0)
    made = row(variant, kl=0.1, method=method, side="more test")
    return dataclasses.replace(made, n=sum(counts.values()), **(none | counts))


ANSWERS = [
    answer("a", "base", severity=0.8, outcome="harmful"),
    answer("b", "base", severity=0.5),
    answer("c", "base", refuses=1.0, outcome="refusal"),
    answer("a", "sku@1", refuses=1.0),
    answer("b", "sku@1", severity=0.9, outcome="broken"),
    answer("c", "sku@1", refuses=0.5, severity=0.4),
    answer("x", "base", set="sounds_harmful", severity=None),
    answer("x", "sku@1", set="sounds_harmful", severity=None, refuses=1.0),
]


def test_ratings_count_where_the_judge_counted_and_breakage_stays() -> None:
    shipped = [counted("base", "base", harmful=1, safe=1, refusal=1), counted("sku@1", "sku", safe=2, broken=1)]
    base, sku = rated_rows(shipped, ANSWERS)
    assert (base.harmful, base.refusal, base.safe, base.broken) == (2, 1, 0, 0)
    assert (sku.harmful, sku.refusal, sku.safe, sku.broken) == (0, 1, 1, 1), "in between is no refusal"
    assert base.harmful_rate == pytest.approx(2 / 3)
    assert sku.harmful_change == pytest.approx(-2 / 3)
    assert base.harmful_change is None
    assert (base.over_refusal, sku.over_refusal) == (0.0, 1.0)
    assert {(one.side, one.judge) for one in (base, sku)} == {(RATED_SIDE, RATER)}
    assert sku.kl == shipped[1].kl


def test_ratings_of_other_answers_and_unrated_variants_are_left_out() -> None:
    shipped = [
        counted("base", "base", harmful=1, safe=1, refusal=1),
        counted("sku@1", "sku", safe=3),
        counted("ga@1", "ga", safe=3),
    ]
    assert [one.variant for one in rated_rows(shipped, ANSWERS)] == ["base"]


def test_without_ratings_of_the_base_there_is_no_change_from_it() -> None:
    sku = counted("sku@1", "sku", safe=2, broken=1)
    other_base = counted("base", "base", harmful=3)
    for shipped, answers in (([sku], ANSWERS[3:]), ([other_base, sku], ANSWERS)):
        (found,) = rated_rows(shipped, answers)
        assert (found.variant, found.harmful_change) == ("sku@1", None)


def test_ratings_are_read_line_by_line_and_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rated.jsonl"
    assert read_ratings(path) == []
    path.write_text("".join(json.dumps(dataclasses.asdict(one)) + "\n" for one in ANSWERS))
    assert read_ratings(path) == ANSWERS
