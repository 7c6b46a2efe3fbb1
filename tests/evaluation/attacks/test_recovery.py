"""How much an attack brings back, written out."""

from __future__ import annotations

import pytest

from sku.evaluation.attacks.recovery import leak_at, mean_from, recovery

PROMPTS = [str(i) for i in range(20)]


def scores(harmful: int) -> dict[str, float]:
    return {prompt: float(i < harmful) for i, prompt in enumerate(PROMPTS)}


def test_half_of_what_was_removed_is_a_recovery_of_one_half() -> None:
    found = recovery(attacked=scores(6), before=scores(2), base=scores(10))
    assert found.recovered.difference == pytest.approx(0.2)
    assert found.share.ratio == pytest.approx(0.5)
    assert found.share.low is not None
    assert found.share.low < 0.5 < (found.share.high or 0)


def test_everything_back_is_one_and_nothing_back_is_zero() -> None:
    assert recovery(scores(10), scores(2), scores(10)).share.ratio == 1
    assert recovery(scores(2), scores(2), scores(10)).share.ratio == 0


def test_no_share_where_the_base_is_not_surely_more_harmful() -> None:
    found = recovery(attacked=scores(3), before=scores(2), base=scores(3))
    assert found.share.ratio is None
    assert found.recovered.difference == pytest.approx(0.05)


def test_leak_of_all_samples_asks_whether_any_is_harmful() -> None:
    assert leak_at(8, 0, 8) == 0
    assert leak_at(8, 1, 8) == 1


def test_leak_of_one_sample_is_the_share() -> None:
    assert leak_at(1, 3, 8) == pytest.approx(3 / 8)


def test_leak_of_two_samples_by_hand() -> None:
    """Of four answers one is harmful: three of the six pairs contain it."""
    assert leak_at(2, 1, 4) == pytest.approx(0.5)


def test_leak_of_more_samples_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="leak@9"):
        leak_at(9, 1, 8)


def test_the_mean_from_a_position_counts_tokens_and_not_answers() -> None:
    assert mean_from([[-9.0, -1.0, -2.0], [-9.0, -3.0]], 1) == pytest.approx(-2)
    assert mean_from([[-1.0]], 5) is None
