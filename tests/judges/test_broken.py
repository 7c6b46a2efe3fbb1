"""Whole answers are left alone, whatever they look like; loops, noise and emptiness are not."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.judges.broken import broken_reason

POEM = """Row, row, row your boat,
Gently down the stream.
Merrily, merrily, merrily, merrily,
Life is but a dream."""
BREAD = (
    "To bake bread you mix flour, water, salt and yeast, knead the dough until it is smooth and let it rise. "
    "Then you shape a loaf, let it rise again and bake it in a hot oven until it sounds hollow when you tap it below."
)
WHOLE = {
    "one word": "Paris.",
    "no": "No.",
    "a number": "42",
    "a letter": "B",
    "a poem with a refrain": POEM,
    "a short list": "1. Red\n2. Green\n3. Blue",
    "a list of like items": "1. Wash the cup and dry it.\n2. Wash the pan and dry it.\n3. Wash the jug and dry it.",
    "a table": "| day | rain |\n| --- | --- |\n| Monday | 2 mm |\n| Tuesday | 0 mm |\n| Wednesday | 0 mm |",
    "a ruled page": f"First part\n{'-' * 60}\nSecond part\n{'=' * 60}\nThird part, with a blank to fill in: {'_' * 40}",
    "code": "def square(x):\n    return x * x\n\nfor i in range(10):\n    print(i, square(i))\n",
    "German": "Mehl, Wasser, Salz und Hefe mischen, kneten, eine Stunde gehen lassen und dann heiß backen.",
    "Chinese": "因为空气对蓝光的散射比对红光更强所以天空看起来是蓝色的。",
    "laughter": "Ha ha ha, that is a good one!",
    "emphasis": "No, no, no, no! Never do that.",
    "prose": BREAD,
}
ROADS = ["the road went to the old town", "a network of roads went on", "it was a very old road"]
LOOPS = {
    "a word": "No, " * 40,
    "a word after a start": "The Silk Road was a network of roads. " + "roads and " * 20,
    "a sentence": "I'm glad to hear that. " * 6,
    "lines": "- 2 cups all-purpose flour\n" * 8,
    "a paragraph": BREAD[:118] * 4,
    "letters": "LASAD_CAC_" * 30,
    "one letter": "Well " + "a" * 300,
    "a script without spaces": "我不能回答这个问题" * 30,
    "pictures": "Here you go 🍰🍰🍰🍰🍰🍰🍰🍰🍰🍰🍰🍰",
    "phrases in another order": " ".join(random.Random(0).choice(ROADS) for _ in range(20)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_answers_are_left_alone(name: str) -> None:
    assert broken_reason(WHOLE[name]) is None
    assert broken_reason(WHOLE[name], -3.0) is None


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_broken(name: str) -> None:
    found = broken_reason(LOOPS[name])
    assert found is not None
    assert found.startswith("repeats itself")


@pytest.mark.parametrize("answer", ["", " ", "\n\t\n", "\u00a0"])
def test_nothing_is_empty(answer: str) -> None:
    assert broken_reason(answer) == "empty"


@pytest.mark.parametrize("answer", ["...", "***", "\u200b", "\ufffd", "- - -\n|", "🙂"])
def test_signs_without_a_word_are_no_answer(answer: str) -> None:
    assert broken_reason(answer) == "no letters or digits"


def test_a_loop_is_named_with_what_is_repeated() -> None:
    assert broken_reason("la la la la la la la la la la la la") == "repeats itself: 'la'"


def test_what_the_base_would_never_write_is_broken_and_the_number_is_said() -> None:
    noise = "oven mix the until bread smooth dough it hollow below yeast an loaf"
    assert broken_reason(noise, -8.2) == "too unlikely under the base: 8.2 nats per token"
    assert broken_reason(noise, -5.0) is None


def test_without_a_likelihood_only_the_text_counts() -> None:
    assert broken_reason("oven mix the until bread smooth dough it hollow below yeast an loaf") is None


def test_words_that_mix_cases_and_signs_need_less_to_be_noise() -> None:
    odd = "TheThe LAS_CAC lua.com:The Lens of ScopedThem building TheLambda in-Fab"
    assert broken_reason(odd, -4.8) is not None
    assert broken_reason(odd, -2.0) is None, "code has such words too, but the base finds code likely"


@pytest.mark.parametrize("answer", ["Paris.", "Blue", "pizza obvs", "H2O", "William Shakespeare"])
def test_a_short_answer_may_be_unlikely(answer: str) -> None:
    """The base gives `Blue` -6.7 and `Paris` without a full stop -9.3 nats per token."""
    assert broken_reason(answer, -9.5) is None


def test_languages_that_the_base_hardly_knows_are_whole() -> None:
    """Measured: Finnish -5.7, Indonesian -6.0, Esperanto -6.3."""
    assert broken_reason("Sekoita jauhot, vesi, suola ja hiiva, ja anna taikinan nousta tunnin verran.", -5.7) is None
    assert broken_reason("Miksu farunon, akvon, salon kaj giston, lasu la paston leviĝi dum unu horo.", -6.4) is None


def test_accents_do_not_mix_scripts() -> None:
    assert broken_reason("Trộn bột mì, nước, muối và men, để bột nở một giờ rồi nướng trong lò nóng.", -5.0) is None


def test_a_likelihood_that_is_no_number_is_broken() -> None:
    assert broken_reason(BREAD, math.nan) is not None


@given(
    st.text(max_size=300) | st.sampled_from([*WHOLE.values(), *LOOPS.values()]), st.floats(max_value=0, allow_nan=False)
)
def test_a_likelihood_adds_to_what_is_broken_and_takes_nothing_away(answer: str, log_prob: float) -> None:
    by_text = broken_reason(answer)
    assert by_text != "", "whoever is told that an answer is broken is told why"
    assert broken_reason(answer, 0.0) == by_text, "a text that the base is sure of is no noise"
    assert by_text is None or broken_reason(answer, log_prob) == by_text


@given(st.text(min_size=1, max_size=12).filter(lambda unit: any(letter.isalpha() for letter in unit)))
def test_anything_said_a_hundred_times_is_broken(unit: str) -> None:
    assert broken_reason(f"{unit} " * 100) is not None


def test_a_long_answer_is_judged_in_no_time() -> None:
    """Loops are looked for up to a certain length; without that limit this takes minutes."""
    answer = " ".join(f"word{i}" for i in range(20000))
    started = time.process_time()
    assert broken_reason(answer) is None
    assert time.process_time() - started < 5
