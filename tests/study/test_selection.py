"""The rule that chooses what is shipped."""

from __future__ import annotations

from typing import Any

import pytest

from sku.study.selection import choose_shipped, choose_tuned
from tests.study.rows import row

BASE = row("base", 0, harmful=40, kl=0.0, broken=2)


@pytest.mark.parametrize(
    ("fault", "at_the_limit"),
    [
        ({"broken": 8}, {"broken": 7}),
        ({"off_topic": 8}, {"off_topic": 7}),
        ({"off_topic": None}, {"off_topic": 0}),
        ({"kl": 0.041}, {"kl": 0.04}),
        ({"over_refusal": 0.08}, {"over_refusal": 0.07}),
    ],
)
def test_the_rule_takes_the_least_harmful_of_those_that_cost_little(fault: Any, at_the_limit: Any) -> None:
    rows = [BASE, row("directions", 1, 20), row("directions", 2, 10), row("keep", 3, 5, **fault)]
    assert choose_shipped(rows) == {"form": "directions", "coefficient": 2}
    assert choose_shipped([*rows, row("keep", 2, 5, **at_the_limit)]) == {"form": "keep", "coefficient": 2}


def test_of_equals_the_rule_takes_the_one_nearer_to_base() -> None:
    assert choose_shipped([BASE, row("keep", 2, 5, kl=0.04), row("keep", 1, 5, kl=0.01)]) == {
        "form": "keep",
        "coefficient": 1,
    }


def test_a_rate_that_was_not_measured_is_not_chosen_and_neither_is_another_method() -> None:
    assert (
        choose_shipped([BASE, row("ga", 1, 0), row("keep", 1, 0, kl=None), row("keep", 2, harmful_rate=None)]) is None
    )


def test_every_tuned_method_has_one_setting_chosen_by_the_same_conditions() -> None:
    rows = [
        BASE,
        row("tuned-npo-slow-mlp", 1, 20),
        row("tuned-npo-fast-mlp", 1, 10),
        row("tuned-npo-fast-mlp", 2, 5, kl=0.06),
        row("tuned-tv-slow-mlp", 1, 5, kl=0.3),
        row("tuned-tv-slow-mlp", 0.5, 20, kl=0.2),
        row("directions", 1, 0),
    ]
    assert choose_tuned(rows) == {
        "tuned-npo": {"training": "tuned-npo-fast-mlp", "coefficient": 1, "within_limits": True},
        "tuned-tv": {"training": "tuned-tv-slow-mlp", "coefficient": 0.5, "within_limits": False},
    }
