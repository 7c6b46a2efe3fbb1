"""Laws of the split: a prompt is on the same side in every source, on every machine."""

from __future__ import annotations

import collections
import random
from pathlib import Path

import pytest

from sku.core.conversation import Conversation, Turn
from sku.core.records import PromptPair
from sku.data import load_pairs
from sku.data.dataset import DataSet
from sku.data.splits import side_of, split
from sku.data.trainable import rows_to_train
from tests.data.conftest import pairs


def test_the_same_question_is_never_on_two_sides() -> None:
    variants = ["Why is the sky blue?", "why is the SKY blue?", "  Why  is the sky\nblue? "]
    sides = {side_of(PromptPair(text, answer, "normal", answer).prompt_id) for text in variants for answer in "abcde"}
    assert len(sides) == 1


def test_a_split_stays_when_rows_are_added_and_shuffled() -> None:
    few, many = pairs(200), list(pairs(500))
    random.Random(0).shuffle(many)
    for name in ("train", "validation", "test"):
        assert set(split(few, name)) == set(split(many, name)) & set(few)


def asked(*questions: str) -> PromptPair:
    """A pair that asks the last question after the others."""
    turns = tuple(Turn(question, "So.") for question in questions[:-1])
    return PromptPair(questions[-1], "Yes.", "normal", "made up", before=Conversation("", turns))


def test_a_conversation_is_on_the_side_of_its_first_question_but_is_a_prompt_of_its_own() -> None:
    for i in range(50):
        first, whole = asked(f"Question {i}?"), asked(f"Question {i}?", "Why?", "And then?")
        assert whole.split_id == first.prompt_id
        assert len({first.prompt_id, whole.prompt_id, asked("Why?", "And then?").prompt_id}) == 3
        assert len({first.id, whole.id, asked("And then?").id}) == 3


def test_a_conversation_that_asks_a_measured_prompt_is_not_trained_on() -> None:
    measured = next(p for p in load_pairs("bundled", "harmful").pairs if side_of(p.prompt_id) == "test").prompt
    first = next(p.prompt for p in pairs(20) if side_of(p.prompt_id) == "train")
    rows = (asked(first, "Why?"), asked(first, measured), asked(first, measured, "Why?"))
    for hold_out in (True, False):
        assert rows_to_train(DataSet("mine", rows), hold_out) == rows[:1]


def test_the_splits_are_a_partition_in_order() -> None:
    whole = pairs(300)
    parts = [split(whole, name) for name in ("train", "validation", "test")]
    assert sorted((pair for part in parts for pair in part), key=whole.index) == list(whole)
    assert all(list(part) == sorted(part, key=whole.index) for part in parts)


def test_a_split_has_about_its_share() -> None:
    count = collections.Counter(side_of(pair.prompt_id) for pair in pairs(10_000))
    assert count["train"] == pytest.approx(7000, abs=250)
    assert count["validation"] == pytest.approx(1000, abs=150)
    assert count["test"] == pytest.approx(2000, abs=200)


@pytest.mark.parametrize(
    ("prompt_id", "expected"),
    [("0000000000000000", "train"), ("b333333333332000", "train"), ("b333333333334000", "validation"),
     ("cccccccccccc0000", "validation"), ("cccccccccccd0000", "test"), ("ffffffffffffffff", "test")],
)  # fmt: skip
def test_sides_change_at_seven_and_eight_tenths(prompt_id: str, expected: str) -> None:
    assert side_of(prompt_id) == expected


def test_ids_and_sides_are_the_same_on_every_machine() -> None:
    pair = PromptPair("Why is the sky blue?", "Because of scattering.", "normal", "made up")
    assert (pair.id, pair.prompt_id, side_of(pair.prompt_id)) == ("b633a4c63e6da29a", "4909dc2f7a991e67", "train")


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(ValueError, match="split 'dev' is not known; choose one of train, validation, test"):
        split(pairs(1), "dev")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'row 7' is not hexadecimal"):
        side_of("row 7")


def test_a_question_shared_by_two_real_files_is_on_one_side(shared_data: Path) -> None:
    first = load_pairs(f"truthfulqa:{shared_data}/truthfulqa.csv", "normal")
    second = load_pairs(f"{shared_data}/truthfulqa_mc.json#prompt=question", "normal")
    train = {pair.prompt_id for pair in split(first.pairs, "train")}
    test = {pair.prompt_id for pair in split(second.pairs, "test")}
    assert train
    assert test
    assert not train & test
