"""A dead model is on no front, nobody on it is beaten, and a row stands against the base that was measured alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.records import ResultRow
from sku.reporting.pareto import base_row, is_broken_model, least_cost, pareto_front
from tests.reporting.rows import BASE, row


def test_the_front_of_four_rows() -> None:
    good, better, worse = row("sku@1", 0.2, 0.1), row("sku@2", 0.1, 0.4), row("tv@1", 0.3, 0.2)
    assert pareto_front([BASE, worse, good, better], "kl") == [better, good, BASE]


def test_more_similarity_is_better() -> None:
    near, far = row("sku@1", 0.2, similarity=0.9), row("tv@1", 0.2, similarity=0.3)
    assert pareto_front([far, near], "similarity") == [near]


@pytest.mark.parametrize(("broken", "wins"), [(6, True), (7, False), (100, False)])
def test_a_dead_model_does_not_win(broken: int, wins: bool) -> None:
    base = row("base", 0.5, 0.0, coefficient=0.0, broken=1)  # 5 points above its 1 % is 6 %
    ga = row("ga@1", 0.0, 3.0, broken=broken)
    assert (ga in pareto_front([base, ga], "kl")) is wins


def test_a_model_that_breaks_normal_answers_only_is_dead_too() -> None:
    base = row("base", 0.5, 0.0, normal_n=50, normal_broken=1)
    assert is_broken_model(row("ga@1", 0.0, 1.0, normal_n=50, normal_broken=10), base)
    assert not is_broken_model(row("ga@1", 0.0, 1.0, normal_n=50, normal_broken=3), base)
    assert is_broken_model(row("ga@1", 0.0, 1.0, broken=6), None), "without a base every broken answer counts"
    assert not is_broken_model(row("ga@1", 0.0, 1.0, broken=5), None), "5 points are allowed"


def test_what_was_not_measured_is_on_no_front() -> None:
    assert pareto_front([row("sku@1", None, 0.1), row("sku@2", 0.1, None)], "kl") == []


_POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 9), st.integers(0, 100)), max_size=12)


@given(_POINTS)
def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is_beaten_or_dead(
    points: list[tuple[float, float, int]],
) -> None:
    rows = [BASE, *(row(f"sku@{i}", rate, kl, broken=broken) for i, (rate, kl, broken) in enumerate(points))]
    best = pareto_front(rows, "kl")

    def beaten(one: ResultRow) -> bool:
        place = (one.harmful_rate or 0.0, one.kl or 0.0)
        others = [(other.harmful_rate or 0.0, other.kl or 0.0) for other in rows if not is_broken_model(other, BASE)]
        return any(o[0] <= place[0] and o[1] <= place[1] and o != place for o in others)

    for one in rows:
        assert (one in best) is not (beaten(one) or is_broken_model(one, BASE))


def test_a_row_is_compared_with_the_base_that_was_measured_as_it_was() -> None:
    study_base, study_row = BASE, row("sku@1", 0.2, 0.1)
    own_base = row("base", 0.5, 0.0, coefficient=0.0, broken=10, sets={"harmful": "mine"})
    own_row = row("mine@1", 0.2, 0.1, method="tv", broken=12, sets={"harmful": "mine"})
    rows = [study_base, study_row, own_base, own_row]
    assert [base_row(one, rows) for one in rows] == [study_base, study_base, own_base, own_base]
    assert not any(is_broken_model(one, base_row(one, rows)) for one in rows)


def test_rows_under_different_attacks_are_not_compared() -> None:
    attacked_base, attacked = row("base", 0.6, 0.0, attack="prefill"), row("sku@1", 0.4, 0.1, attack="prefill")
    assert base_row(attacked, [BASE, attacked_base]) == attacked_base
    assert base_row(row("sku@1", 0.2, 0.1), [attacked_base, BASE]) == BASE
    assert base_row(attacked, [BASE]) is None


def test_the_least_cost_is_looked_for_below_the_limit_among_models_that_are_not_broken() -> None:
    cheap, dear = row("sku@1", 0.09, 0.02), row("sku@2", 0.05, 0.1)
    dead = row("dead@1", 0.0, 0.01, broken=90)
    rows = [BASE, cheap, dear, dead, row("ga@1", None, 0.001)]
    assert least_cost(rows, "kl", 0.1) == cheap
    assert least_cost(rows, "kl", 0.09) == dear, "under the limit, not at it"
    assert least_cost(rows, "kl", 0.01) is None
