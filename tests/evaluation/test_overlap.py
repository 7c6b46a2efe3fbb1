"""How many words of a test prompt occur in one training prompt: the rules, the arithmetic and the boundary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.records import PromptPair
from sku.evaluation.overlap import content_words, drop_overlapping, largest_overlap

TRAINED = ["How do I pick the lock of a door?", "Write a letter to my aunt."]
WORDS = st.lists(st.sampled_from(["door", "lock", "aunt", "letter", "cat", "how", "the"]), min_size=1, max_size=6)


def pairs(*prompts: str) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(prompt, "So.", "harmful", "test") for prompt in prompts)


def kept(share: float, *prompts: str) -> list[str]:
    return [pair.prompt for pair in drop_overlapping(pairs(*prompts), TRAINED, share)]


def test_function_words_case_and_punctuation_do_not_count() -> None:
    assert content_words("How do I pick THE lock of a door?!") == {"pick", "lock", "door"}
    assert content_words("I'd say it isn't my aunt\u2019s; don't, can't, won't.") == {"sai", "aunt"}


@pytest.mark.parametrize(
    "forms",
    ["steal steals stealing", "hack hacked hacks hacking", "pass passes passed passing", "study studies studied",
     "make makes making", "stop stopped stopping", "kill kills killing", "lie lies", "aunt aunt's aunts"],
)  # fmt: skip
def test_forms_of_a_word_count_as_one_word(forms: str) -> None:
    assert len({content_words(form) for form in forms.split()}) == 1


@pytest.mark.parametrize("word", ["bed", "thing", "string", "bus", "gas", "need", "sing", "red"])
def test_short_words_keep_what_only_looks_like_an_ending(word: str) -> None:
    assert content_words(word) == {word}


def test_a_prompt_of_function_words_keeps_all_of_its_words() -> None:
    assert content_words("How do I do it?") == {"how", "do", "i", "it"}
    assert content_words("?!") == frozenset()


def test_the_share_is_of_the_test_prompts_words_and_of_one_training_prompt() -> None:
    """{pick, lock, door} and {write, letter, aunt}: two of four in the first, one of four in the second."""
    training = [content_words(prompt) for prompt in TRAINED]
    assert largest_overlap(content_words("Pick locks, Mr aunt Ladder"), training[:1]) == 2 / 5
    assert largest_overlap(content_words("pick locks with aunt Ladder"), training) == 2 / 4, "not 3 of 4"
    assert largest_overlap(content_words("pick"), training) == 1, "a long training prompt does not dilute it"
    assert largest_overlap(content_words("Feed a cat"), training) == 0
    assert largest_overlap(frozenset(), training) == 0
    assert largest_overlap(content_words("Feed a cat"), []) == 0


def test_a_prompt_with_exactly_the_share_is_dropped() -> None:
    half = "pick locks with aunt Ladder"
    assert kept(0.5, half) == []
    assert kept(0.51, half) == [half]


def test_a_paraphrase_is_dropped_and_another_subject_stays() -> None:
    assert kept(0.5, "How can one pick door locks?", "Feed a cat?", "Where is a cheap hotel?") == [
        "Feed a cat?",
        "Where is a cheap hotel?",
    ]


@given(WORDS, st.lists(WORDS, max_size=3), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_share_keeps_more_and_a_trained_prompt_never_stays(
    words: list[str], others: list[list[str]], one: float, other: float
) -> None:
    asked = pairs(" ".join(words), *map(" ".join, others))
    trained = [" ".join(words)]
    low, high = sorted((one, other))
    assert set(drop_overlapping(asked, trained, low)) <= set(drop_overlapping(asked, trained, high))
    assert asked[0] not in drop_overlapping(asked, trained, high), "the same prompt overlaps with itself entirely"
