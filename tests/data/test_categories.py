"""Pairs are selected by category, and a category that nothing has is refused."""

from __future__ import annotations

import pytest

from sku.core.records import PromptPair
from sku.data import load_pairs
from sku.data.categories import require_categories, select_categories


def pair(prompt: str, category: str | None) -> PromptPair:
    return PromptPair(prompt, "So.", "harmful", "test", category)


PAIRS = (pair("a?", "fraud"), pair("b?", None), pair("c?", "theft"), pair("d?", "fraud"))


def test_measured_categories_and_the_rest_make_up_the_whole() -> None:
    """Entity-level forgetting compares the two, so no pair may be in both or in neither."""
    for categories in (["fraud"], ["theft"], ["fraud", "theft"]):
        inside, rest = select_categories(PAIRS, only=categories), select_categories(PAIRS, leave_out=categories)
        assert sorted([*inside, *rest], key=PAIRS.index) == list(PAIRS)
        assert {one.category for one in inside} == set(categories)


def test_a_pair_without_a_category_belongs_to_the_rest() -> None:
    assert select_categories(PAIRS, only=["fraud"]) == (PAIRS[0], PAIRS[3])
    assert select_categories(PAIRS, leave_out=["fraud"]) == (PAIRS[1], PAIRS[2])
    assert select_categories(PAIRS) == PAIRS


def test_an_unknown_category_is_refused_with_those_there_are() -> None:
    require_categories(["fraud", "theft"], PAIRS, "pair")
    with pytest.raises(ValueError, match=r"^no pair has the category 'thefts'; choose from fraud, theft$"):
        require_categories(["fraud", "thefts"], PAIRS, "pair")
    with pytest.raises(ValueError, match="'fraud'; none of them has a category"):
        require_categories(["fraud"], [PAIRS[1]], "pair")


def test_every_bundled_harmful_pair_has_a_category() -> None:
    """So that leaving out a category leaves out all that the bundled data have of it."""
    assert None not in {one.category for one in load_pairs("bundled", "harmful").pairs}
