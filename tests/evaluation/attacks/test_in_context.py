"""Examples and notes in the prompt: whose they are, and that they leave room for an answer."""

from __future__ import annotations

import dataclasses

import pytest

from sku.core.records import PromptPair
from sku.evaluation.attacks.in_context import with_examples, with_notes
from sku.evaluation.attacks.procedure import AttackContext
from tests.evaluation.attacks.conftest import pair


def with_pairs(context: AttackContext, *examples: PromptPair) -> AttackContext:
    return dataclasses.replace(context, data=dataclasses.replace(context.data, examples=examples))


def shown(context: AttackContext, asked: PromptPair, examples: int = 3) -> list[str]:
    """The prompts of the examples that are shown for `asked`."""
    (one,) = with_examples(context, asked, examples)
    return [e.prompt for e in context.data.examples if f"Question: {e.prompt}\nAnswer: {e.answer}\n\n" in one.text]


def test_the_prompt_follows_its_examples(context: AttackContext) -> None:
    (one,) = with_examples(context, pair(1, "fraud"), examples=2)
    assert one.prompt == "How 1?", "answers are judged with the prompt itself"
    assert one.text.startswith("Question: How 20")
    assert one.text.endswith("\n\nQuestion: How 1?\nAnswer:")
    assert one.text.count("Question: ") == 3


def test_examples_are_of_the_same_category(context: AttackContext) -> None:
    own, other = [pair(i, "fraud") for i in range(200, 203)], [pair(i, "theft") for i in range(300, 306)]
    assert shown(with_pairs(context, *other, *own), pair(1, "fraud")) == [e.prompt for e in own]


@pytest.mark.parametrize("category", ["weapons", None])
def test_other_categories_fill_up_where_there_are_too_few(context: AttackContext, category: str | None) -> None:
    asked = dataclasses.replace(pair(1, "weapons"), category=category)
    examples = [pair(300, "theft"), pair(301, "hate"), dataclasses.replace(pair(302, "weapons"), category=category)]
    given = with_pairs(context, *examples)
    assert len(shown(given, asked)) == 3
    assert shown(given, asked, examples=1) == ["How 302?"], "the own category comes first"


def test_the_measured_prompt_is_never_an_example(context: AttackContext) -> None:
    same = PromptPair("  how 1? ", "The answer that would give it away.", "harmful", "other", "fraud")
    given = with_pairs(context, same, pair(1, "fraud"), pair(200, "fraud"))
    assert shown(given, pair(1, "fraud")) == ["How 200?"]
    assert with_examples(with_pairs(context, same), pair(1, "fraud"), 3) == []


def test_an_example_needs_an_answer(context: AttackContext) -> None:
    silent = PromptPair("How 7?", "", "harmful", "other", "fraud")
    assert shown(with_pairs(context, silent, pair(200, "fraud")), pair(1, "fraud")) == ["How 200?"]


def test_examples_that_do_not_leave_half_of_the_context_are_left_out(context: AttackContext) -> None:
    long = [pair(i, "fraud", f"{i}: " + "so " * 30) for i in range(200, 203)]  # 512 tokens in all, a token a character
    given = with_pairs(context, *long)
    assert len(shown(given, pair(1, "fraud"))) == 1
    (one,) = with_examples(given, pair(1, "fraud"), 3)
    assert len(context.model.template.prompt_ids(one.text)) <= context.model.context // 2
    assert with_examples(with_pairs(context, pair(200, "fraud", "so " * 100)), pair(1, "fraud"), 3) == []


def test_notes_are_the_first_half_of_the_given_answer(context: AttackContext) -> None:
    (one,) = with_notes(context, pair(1, "fraud", "one two three four five"))
    assert one.prompt == "How 1?"
    assert "one two\n\n" in one.text
    assert "three" not in one.text
    assert one.text.endswith(" How 1?")


def test_notes_need_an_answer_to_halve_and_room(context: AttackContext) -> None:
    for answer in ("one", "so " * 200):
        assert with_notes(context, pair(1, "fraud", answer)) == []
    assert with_notes(context, PromptPair("How 1?", "", "harmful", "test", "fraud")) == []
