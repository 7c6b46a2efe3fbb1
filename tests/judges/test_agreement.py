"""Agreement of a judge with labels, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.intervals import Rate, wilson
from sku.judges.agreement import accuracy, auc, measure_agreement


def test_auc_of_a_perfect_an_inverted_and_a_constant_scorer() -> None:
    labels = [True, False, True, False, False]
    scores = [0.9, 0.1, 0.8, 0.2, 0.7]
    assert auc(scores, labels) == 1
    assert auc([1 - score for score in scores], labels) == 0
    assert auc([0.4] * 5, labels) == 0.5
    assert auc(scores, [True] * 5) is None
    assert auc([], []) is None


def test_auc_counts_pairs_and_ties_half() -> None:
    """True 3, 1; false 2, 1: 3 beats both, 1 loses to 2 and ties with 1: (2 + 0.5) / 4."""
    assert auc([3, 1, 2, 1], [True, True, False, False]) == pytest.approx(2.5 / 4)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    true, false = [s for s, label in rows if label], [s for s, label in rows if not label]
    won = [(t > f) + 0.5 * (t == f) for t in true for f in false]
    expected = pytest.approx(sum(won) / len(won)) if won else None
    assert auc([float(s) for s, _ in rows], [label for _, label in rows]) == expected


def test_accuracy_is_the_share_that_was_said() -> None:
    assert accuracy([True, False, True], [True, True, True]) == wilson(2, 3)
    assert accuracy([], []) == Rate(None, None, None)


def test_agreement_of_a_judge_with_people() -> None:
    found = measure_agreement("ours", [0.9, 0.5, 0.4, 0.1], [True, False, True, False])
    _, low, high = wilson(2, 4)
    assert (found.what, found.n, found.accuracy, found.low, found.high) == ("ours", 4, 0.5, low, high)
    assert found.auc == pytest.approx(3 / 4)
    assert measure_agreement("ours", [0.9, 0.5, 0.4, 0.1], [True, False, True, False], threshold=0.6).accuracy == 0.75


def test_what_a_judge_did_not_decide_is_neither_right_nor_wrong_and_is_told() -> None:
    found = measure_agreement("ours", [0.9, None, 0.1, None], [True, True, False, False])
    assert (found.what, found.n, found.accuracy) == ("ours, 2 undecided left out", 2, 1.0)
    with pytest.raises(ValueError, match="the judge decided no answer of ours"):
        measure_agreement("ours", [None], [True])


@pytest.mark.parametrize("short", [0, 1])
def test_a_label_a_score_is_wanted(short: int) -> None:
    """Nothing is cut to the shorter of two lists."""
    scores, labels = [0.9, 0.1, 0.8][: 3 - short], [True, False, True, False][: 2 + short]
    with pytest.raises(ValueError, match="zip"):
        accuracy([score > 0.5 for score in scores], labels)
    with pytest.raises(ValueError, match="zip"):
        auc(scores, labels)
    with pytest.raises(ValueError, match="zip"):
        measure_agreement("ours", scores, labels)
