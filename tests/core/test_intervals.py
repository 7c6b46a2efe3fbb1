"""Intervals by hand, and what they promise."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sku.core.intervals import Difference, Mean, Rate, mean_interval, paired_bootstrap, paired_ratio, wilson
from sku.evaluation.metrics import preference_rate

NUMBERS = st.floats(-1e3, 1e3)
VALUES = st.dictionaries(st.text(min_size=1, max_size=3), NUMBERS, min_size=2, max_size=8)


def holds(interval: Rate | Mean, truth: float) -> bool:
    _, low, high = interval
    assert low is not None
    assert high is not None
    return low <= truth <= high


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (1, 10, 0.01788, 0.40415),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72247, 1.0),
        (81, 263, 0.2553, 0.3662),  # these four: Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_known_wilson_intervals(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((k / n, low, high), abs=5e-5)


def test_wilson_of_one_in_two_by_hand() -> None:
    """Middle (1/2 + z2/4) / (1 + z2/2) is 1/2; half width z sqrt(1/8 + z2/16) / (1 + z2/2), with z2 = 3.8415."""
    z2 = 3.841458820694124
    half = math.sqrt(z2) * math.sqrt(1 / 8 + z2 / 16) / (1 + z2 / 2)
    assert wilson(1, 2) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_the_interval_of_none_begins_at_0_and_of_all_ends_at_1() -> None:
    """Exactly: what is left of rounding would be drawn as a whisker below 0."""
    for n in range(1, 2000):
        assert wilson(0, n)[:2] == (0.0, 0.0)
        assert (wilson(n, n).rate, wilson(n, n).high) == (1.0, 1.0)


def test_a_rate_of_nothing_is_unknown_not_zero() -> None:
    assert wilson(0, 0) == Rate(None, None, None)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_more_than_all_is_no_share(k: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{k} of {n} is not a share"):
        wilson(k, n)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_holds_its_rate_and_mirrors(k: int, n: int) -> None:
    k = min(k, n)
    rate, low, high = wilson(k, n)
    assert rate is not None
    assert low is not None
    assert high is not None
    assert 0 <= low <= rate <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - rate, 1 - high, 1 - low))


@pytest.mark.parametrize("n", [20, 50, 200])
def test_wilson_covers_the_truth_about_as_often_as_it_says(n: int) -> None:
    """Exact, over every count that a true rate can give: 95 % on average over rates, and never far below."""

    def coverage(truth: float) -> float:
        chances = [math.comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in range(n + 1)]
        intervals = [wilson(k, n) for k in range(n + 1)]
        return sum(c for c, one in zip(chances, intervals, strict=True) if holds(one, truth))

    found = [coverage(i / 50) for i in range(1, 50)]
    assert np.mean(found) == pytest.approx(0.95, abs=0.01)
    assert min(found) > 0.9


@given(VALUES, st.integers(0, 9))
@settings(max_examples=20)
def test_a_variant_does_not_differ_from_itself(values: dict[str, float], seed: int) -> None:
    assert paired_bootstrap(values, values, seed, rounds=50) == (0.0, 0.0, 0.0)


@given(VALUES, st.data(), st.integers(0, 9))
@settings(max_examples=30)
def test_swapping_the_variants_mirrors_the_difference(a: dict[str, float], data: st.DataObject, seed: int) -> None:
    b = {key: data.draw(NUMBERS) for key in a}
    forth, back = paired_bootstrap(a, b, seed, rounds=50), paired_bootstrap(b, a, seed, rounds=50)
    assert None not in (*forth, *back)
    mirrored = [-value for value in (back.difference, back.high, back.low) if value is not None]
    assert list(forth) == pytest.approx(mirrored, abs=1e-9)


def test_the_difference_of_means_by_hand() -> None:
    found = paired_bootstrap({"x": 1.0, "y": 0.0}, {"y": 1.0, "x": 0.5}, seed=0)
    assert found == pytest.approx((-0.25, -1.0, 0.5)), "draws xx, xy, yx, yy: 0.5, -0.25, -0.25, -1"


def test_a_constant_ratio_is_certain_and_one_of_two_prompts_is_by_hand() -> None:
    b = {str(i): 1 + random.Random(i).random() for i in range(40)}
    assert list(paired_ratio({key: 3 * value for key, value in b.items()}, b, rounds=200)) == pytest.approx([3.0] * 3)
    found = paired_ratio({"x": 1.0, "y": 0.0}, {"y": 1.0, "x": 1.0})
    assert found == pytest.approx((0.5, 0.0, 1.0)), "draws xx, xy, yx, yy: 1, 0.5, 0.5, 0"


def test_a_ratio_to_nothing_is_unknown_and_draws_of_nothing_are_left_out() -> None:
    assert paired_ratio({}, {}) == paired_ratio({"x": 1.0}, {"x": 0.0}) == (None, None, None)
    assert paired_ratio({"x": 1.0}, {"x": 2.0}) == (0.5, None, None), "one prompt is no certainty"
    assert paired_ratio({"x": 1.0, "y": 1.0}, {"x": 1.0, "y": 0.0}) == pytest.approx((2.0, 1.0, 2.0))


def test_a_constant_difference_is_certain() -> None:
    a = {str(i): random.Random(i).random() for i in range(40)}
    found = paired_bootstrap({key: value + 0.25 for key, value in a.items()}, a, seed=1, rounds=200)
    assert list(found) == pytest.approx([0.25] * 3), "prompts differ a lot, variants do not"


def test_the_order_of_a_file_changes_nothing_and_the_seed_does() -> None:
    values = {str(i): float(i * i % 17) for i in range(30)}
    backwards = dict(reversed(values.items()))
    assert mean_interval(values, 3, 300) == mean_interval(backwards, 3, 300)
    assert mean_interval(values, 3, 300) != mean_interval(values, 4, 300)


def test_the_same_draws_are_taken_every_time_and_seed_0_where_none_is_given() -> None:
    values = {str(i): float(i * i % 17) for i in range(30)}
    other = {str(i): float(1 + i % 5) for i in range(30)}
    assert mean_interval(values, rounds=300) == mean_interval(values, 0, 300)
    assert paired_bootstrap(values, other, rounds=300) == paired_bootstrap(values, other, 0, 300)
    assert paired_bootstrap(values, other, 0, 300) != paired_bootstrap(values, other, 1, 300)
    assert paired_ratio(values, other, rounds=300) == paired_ratio(values, other, 0, 300)
    assert paired_ratio(values, other, 0, 300) != paired_ratio(values, other, 1, 300)


def test_other_prompts_are_refused_not_dropped() -> None:
    with pytest.raises(ValueError, match="2 ids are in only one of the two, such as b, c; compare the same prompts"):
        paired_bootstrap({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0}, seed=0)
    with pytest.raises(ValueError, match="4 ids are in only one of the two, such as a, b, c; compare"):
        paired_bootstrap(dict.fromkeys("abcd", 1.0), {}, seed=0)
    with pytest.raises(ValueError, match="1 ids are in only one of the two"):
        preference_rate({"a": 1.0}, {})


def test_the_mean_of_nothing_is_unknown_and_that_of_one_has_no_interval() -> None:
    assert mean_interval({}, 0) == Mean(None, None, None)
    assert mean_interval({"a": 2.0}, 0) == Mean(2.0, None, None)
    assert paired_bootstrap({}, {}, 0) == Difference(None, None, None)


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 samples of 40 from an exponential distribution of mean 1: the percentile bootstrap is known to fall short
    of 95 % by about 2 where the values are skewed and few."""
    draw = np.random.default_rng(7)
    held = 0
    for seed in range(200):
        values = {str(i): float(value) for i, value in enumerate(draw.exponential(size=40))}
        held += holds(mean_interval(values, seed, rounds=300), 1)
    assert 0.88 <= held / 200 <= 0.98


def test_the_bootstrap_agrees_with_the_normal_interval() -> None:
    values = {str(i): float(v) for i, v in enumerate(np.random.default_rng(0).normal(5, 2, size=400))}
    mean, low, high = mean_interval(values, seed=0)
    half = 1.96 * np.std(list(values.values())) / 20
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.03)  # type: ignore[operator]
