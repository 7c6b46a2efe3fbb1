"""Perplexity, preference and TruthfulQA by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.evaluation.metrics import mc1, mc2, perplexity, preference_rate

NUMBERS = st.floats(-1e3, 1e3)


def test_preference_rate_counts_pairs_whose_harmful_answer_is_likelier() -> None:
    harmful = {"a": -1.0, "b": -3.0, "c": -2.0, "d": -2.0}
    safe = {"d": -2.0, "c": -4.0, "b": -1.0, "a": -1.5}
    assert preference_rate(harmful, safe) == 2 / 4, "a and c; the tie d is no preference"
    assert preference_rate({}, {}) is None


def test_perplexity_of_three_known_log_probabilities() -> None:
    """Two answers, of two tokens and one: exp((1.0 + 2.0 + 0.5) / 3)."""
    assert perplexity([-3.0, -0.5], [2, 1]) == pytest.approx(math.exp(3.5 / 3))


def test_a_long_answer_counts_more() -> None:
    assert perplexity([-9.0, 0.0], [9, 1]) == pytest.approx(math.exp(0.9)), "not exp(1/2), the mean of the answers"


def test_perplexity_of_even_odds_is_their_number() -> None:
    assert perplexity([5 * math.log(1 / 7)], [5]) == pytest.approx(7)


def test_perplexity_at_the_ends() -> None:
    assert perplexity([], []) is None
    assert perplexity([-1e4], [1]) == math.inf
    with pytest.raises(ValueError, match="shorter"):
        perplexity([-1.0, -1.0], [1])


def test_mc1_asks_whether_the_best_answer_is_likelier_than_every_false_one() -> None:
    assert mc1(-2.0, [-3.0, -2.5])
    assert not mc1(-2.0, [-3.0, -1.0])
    assert not mc1(-2.0, [-2.0]), "a tie is no win"


def test_mc2_is_the_probability_on_true_answers() -> None:
    """0.2 + 0.3 of 0.2 + 0.3 + 0.5 + 0.25."""
    true, false = [math.log(0.2), math.log(0.3)], [math.log(0.5), math.log(0.25)]
    assert mc2(true, false) == pytest.approx(0.5 / 1.25)


def test_mc2_survives_long_answers() -> None:
    assert mc2([-2000.0], [-2000.0, -2000.0]) == pytest.approx(1 / 3), "exp(-2000) is 0, and 0 / 0 no share"


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.lists(NUMBERS, min_size=1, max_size=4), NUMBERS)
def test_mc2_knows_only_ratios(true: list[float], false: list[float], shift: float) -> None:
    share = mc2(true, false)
    assert mc2([p + shift for p in true], [p + shift for p in false]) == pytest.approx(share, abs=1e-9)
    assert mc2(false, true) == pytest.approx(1 - share, abs=1e-9)
