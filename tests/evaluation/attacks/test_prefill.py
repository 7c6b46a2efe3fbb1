"""A given beginning of the answer: how long it is, whose it is, and that the model continues it."""

from __future__ import annotations

import pytest

from sku.core.config import DecodingConfig
from sku.core.records import AskedPrompt, PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.prefill import GENERIC_START, generic_start, given_start
from sku.evaluation.attacks.procedure import AttackContext
from sku.models.generation import generate_answers
from tests.evaluation.attacks.conftest import MEASURED, pair


@pytest.mark.parametrize("tokens", [1, 5, 10])
def test_the_beginning_is_the_first_tokens_of_the_given_answer(context: AttackContext, tokens: int) -> None:
    (one,) = given_start(context, MEASURED[0], tokens)
    assert one.answer_start == MEASURED[0].answer[:tokens], "the pico tokenizer has a token for every character"
    assert (one.prompt, one.text) == (MEASURED[0].prompt, MEASURED[0].prompt)


def test_an_answer_that_is_no_longer_gives_nothing(context: AttackContext) -> None:
    assert given_start(context, pair(1, "fraud", "Just"), 4) == []
    assert len(given_start(context, pair(1, "fraud", "Just."), 4)) == 1
    assert given_start(context, PromptPair("How?", "", "harmful", "test"), 4) == []


def test_a_beginning_of_white_space_is_none(context: AttackContext) -> None:
    assert given_start(context, pair(1, "fraud", "    Just do it"), 3) == []


def test_the_generic_beginning_fits_every_prompt(context: AttackContext) -> None:
    assert {generic_start(context, one)[0].answer_start for one in MEASURED} == {GENERIC_START}


def test_no_tokens_ask_the_prompt_as_it_is(context: AttackContext) -> None:
    """Strength zero: nothing of the answer is given, so there is nothing to ask."""
    assert given_start(context, MEASURED[0], 0) == []


def test_the_model_continues_the_beginning(context: AttackContext) -> None:
    model, base, prompt = context.model, Variant("base", 0.0), MEASURED[0].prompt
    (asked,) = given_start(context, PromptPair(prompt, "x" * 6, "harmful", "test"), 5)
    ids = (*model.template.prompt_ids(prompt), *model.template.answer_ids("xxxxx")[:-1])
    config = DecodingConfig(max_new_tokens=10)
    after, by_hand = generate_answers(model, [asked, AskedPrompt(prompt, prompt, ids=ids)], [base], config)
    (plain,) = generate_answers(model, [prompt], [base], config)
    assert after.answer_start == "xxxxx"
    assert after.text == by_hand.text != plain.text
