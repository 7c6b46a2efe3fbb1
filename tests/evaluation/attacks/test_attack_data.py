"""What attacks train on is kept apart from what is measured."""

from __future__ import annotations

import dataclasses

import pytest

from sku.evaluation.attacks.attack_data import (
    check_apart,
    load_attack_data,
    measurable,
    set_aside_categories,
)
from sku.evaluation.attacks.suite import AttackSources, attacked_prompts
from tests.evaluation.attacks.conftest import DATA, MEASURED, pair


def test_the_categories_that_cost_the_fewest_prompts_are_set_aside() -> None:
    train = [pair(i, "a") for i in range(4)] + [pair(i, "b") for i in range(4)] + [pair(i, "c") for i in range(4)]
    test = [pair(9, "a"), pair(10, "a"), pair(11, "b")]
    assert set_aside_categories(train, test, 3) == {"c"}
    assert set_aside_categories(train, test, 5) == {"b", "c"}


def test_too_few_pairs_are_named() -> None:
    with pytest.raises(ValueError, match="24 harmful pairs and the categories have only 1"):
        set_aside_categories([pair(1, "a")], [], 24)


def test_the_bundled_data_share_nothing_with_what_is_measured() -> None:
    prompts = attacked_prompts(AttackSources())
    data = load_attack_data(prompts)
    measured = measurable(prompts, data)
    assert len(measured) > 40, "most bundled prompts must stay measurable"
    assert len(data.harmful) == 24
    check_apart(measured, data)
    assert not data.categories & {one.category for one in measured}


def test_a_prompt_without_category_or_answer_is_not_measured() -> None:
    bare = [dataclasses.replace(MEASURED[0], category=None), dataclasses.replace(MEASURED[1], answer="")]
    assert measurable([*bare, MEASURED[2]], DATA) == (MEASURED[2],)


def test_a_shared_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="the prompt 'How 100\\?' is both measured and used"):
        check_apart([*MEASURED, pair(100, "fraud")], DATA)


def test_a_shared_category_is_refused() -> None:
    with pytest.raises(ValueError, match="the category theft is both measured and used"):
        check_apart([*MEASURED, pair(7, "theft")], DATA)
