"""The searched suffix: its loss never rises, its gradient is right, and it is text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from sku.core.attacks import ATTACKS
from sku.core.errors import Cancelled
from sku.core.records import PromptPair
from sku.evaluation.attacks import gcg as module
from sku.evaluation.attacks.attacked_likelihood import given_log_probs
from sku.evaluation.attacks.gcg import (
    SuffixLoss,
    SuffixRow,
    decoded,
    draw_candidates,
    ordinary_tokens,
    searched_suffix,
    steepest_tokens,
    with_suffix,
)
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.chat_template import ChatTemplate
from sku.models.variant_model import VariantModel
from tests.conftest import byte_tokenizer
from tests.evaluation.attacks.conftest import MEASURED
from tests.evaluation.attacks.test_attack_runner import MakePlan, by_cell, measure
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits
from tests.evaluation.attacks.test_soft_prompt import is_untouched, stop_at
from tests.models.test_chat_template import sentencepiece_like

SMALL = {"tokens": 5, "steps": 4, "candidates": 8, "pairs": 3}


def suffix_of(context: AttackContext, text: str) -> list[int]:
    ids: list[int] = context.model.template.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def loss_of(context: AttackContext, pairs: int = 3) -> SuffixLoss:
    return SuffixLoss(context.model, ONE.coefficients, context.data.harmful[:pairs])


def test_the_search_lowers_its_loss_and_never_raises_it(context: AttackContext) -> None:
    lines: list[str] = []
    with searched_suffix(dataclasses.replace(context, say=lines.append), ONE, **SMALL) as attacked:
        assert attacked.details["last_loss"] < attacked.details["first_loss"] - 0.01
    losses = [float(line.split(", ")[1].split()[0]) for line in lines]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == SMALL["steps"]


def test_a_step_without_a_better_candidate_keeps_the_suffix(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuffixLoss, "best_of", lambda _self, suffixes, _step: (suffixes[0], 99.0))
    with searched_suffix(context, ONE, **SMALL) as attacked:
        assert attacked.details["suffix"] == "!!!!!"
        assert attacked.details["last_loss"] == attacked.details["first_loss"]


def test_the_losses_are_those_of_the_first_and_the_found_suffix(context: AttackContext) -> None:
    with searched_suffix(context, ONE, **SMALL) as attacked:
        found = suffix_of(context, attacked.details["suffix"])
        assert loss_of(context).of(suffix_of(context, "!!!!!")) == pytest.approx(attacked.details["first_loss"])
        assert loss_of(context).of(found) == pytest.approx(attacked.details["last_loss"], abs=1e-5)


def test_the_loss_is_that_of_the_beginnings_of_the_given_answers(context: AttackContext) -> None:
    suffix = suffix_of(context, " abc")
    pairs = [PromptPair(p.prompt + " abc", p.answer, "harmful", "test") for p in context.data.harmful[:3]]
    scored = given_log_probs(AttackedModel(context.model, ONE.coefficients), pairs, 512)
    values = [value for one in scored for value in one[: module.TARGET_TOKENS]]
    assert loss_of(context).of(suffix) == pytest.approx(-sum(values) / len(values), abs=1e-5)


def test_the_best_candidate_is_found_with_its_loss_on_all_pairs(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffixes = [suffix_of(context, text) for text in ("aaaaa", "bcdef", "!?!?!", "xx yy", "Sure:")]
    monkeypatch.setattr(module, "FINALISTS", len(suffixes))
    for pairs in (1, 2, 5):
        objective = loss_of(context, pairs)
        losses = [objective.of(suffix) for suffix in suffixes]
        for step in range(3):
            best, loss = objective.best_of(suffixes, step)
            assert best == suffixes[losses.index(min(losses))]
            assert loss == pytest.approx(min(losses), abs=1e-5)


def test_other_pairs_choose_the_finalists_in_each_step(context: AttackContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of the losses of three suffixes on four pairs, two of which come first in each step."""
    table = {(1,): [0.0, 1.0, 7.0, 9.0], (2,): [3.0, 2.0, 2.0, 2.0], (3,): [9.0, 9.0, 0.0, 0.5]}
    objective = loss_of(context, 4)
    rows = objective._rows

    def sums(suffixes: Sequence[Sequence[int]], some: Sequence[SuffixRow]) -> torch.Tensor:
        places = [next(i for i, row in enumerate(rows) if row is one) for one in some]
        return torch.tensor([sum(table[tuple(suffix)][i] for i in places) for suffix in suffixes])

    monkeypatch.setattr(objective, "_sums", sums)
    tokens = 4 * module.TARGET_TOKENS
    for finalists, wanted in ((1, [([1], 17), ([3], 18.5), ([1], 17)]), (2, [([2], 9)] * 3)):
        monkeypatch.setattr(module, "FINALISTS", finalists)
        for step, (best, loss) in enumerate(wanted):
            assert objective.best_of(list(table), step) == (best, pytest.approx(loss / tokens))


def test_the_slope_is_the_derivative_by_the_one_hot_vectors(context: AttackContext) -> None:
    """Against a small step from one token's embedding towards another's. Nothing else has the letters of the suffix."""
    objective, suffix = loss_of(context), suffix_of(context, "VWXYZ")
    slope = objective.slope(suffix)
    assert slope.shape == (5, 260)
    weight = context.model.network.get_input_embeddings().weight
    for place, token in ((0, 7), (4, 90)):
        old, step = weight[suffix[place]].clone(), 1e-2
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[suffix[place]] = old + sign * step * weight[token]
            losses.append(objective.of(suffix))
        with torch.no_grad():
            weight[suffix[place]] = old
        wanted = (losses[0] - losses[1]) / (2 * step)
        assert float(slope[place, token]) == pytest.approx(wanted, rel=0.05, abs=2e-3)


def test_the_tokens_that_lower_the_loss_most_are_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROPOSED_TOKENS", 2)
    slope = torch.tensor([[-9.0, 3.0, -1.0, 0.5], [0.0, 0.2, 0.1, -4.0]])
    assert steepest_tokens(slope, torch.tensor([1, 2, 3])) == [[2, 3], [3, 2]], "token 0 is not allowed"


def test_the_suffix_stands_behind_the_text_of_every_prompt(context: AttackContext) -> None:
    with searched_suffix(context, ONE, **SMALL) as attacked:
        for pair in MEASURED:
            (asked,) = attacked.ask(pair)
            assert asked.prompt == pair.prompt
            assert asked.text == pair.prompt + attacked.details["suffix"]
            assert asked.ids is None, "a person can type it"


def test_tokens_that_no_text_has_are_asked_as_tokens() -> None:
    template = ChatTemplate.of(byte_tokenizer())
    accent = template.tokenizer("\u00e9", add_special_tokens=False)["input_ids"]
    assert with_suffix(template, "How?", accent).ids is None
    half = with_suffix(template, "How?", accent[:1])
    before, text, after = template.split_prompt("How?")
    assert half.ids == (*before, *text, accent[0], *after)


@pytest.mark.parametrize("tokenizer", [byte_tokenizer(), sentencepiece_like()], ids=["bytes", "sentencepiece"])
def test_ordinary_tokens_are_text_and_survive(tokenizer: object) -> None:
    template = ChatTemplate.of(tokenizer)
    found = ordinary_tokens(template)
    assert found
    for token in found:
        text = decoded(template, [token])
        assert text.isascii()
        assert text.isprintable()
        assert template.tokenizer(text, add_special_tokens=False)["input_ids"] == [token]
    assert not set(found) & set(template.tokenizer.all_special_ids)


def test_words_outside_ascii_and_line_ends_are_not_ordinary() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["\u65e5\u672c", "ete", "\n\n"])
    found = {decoded(ChatTemplate.of(tokenizer), [token]) for token in ordinary_tokens(ChatTemplate.of(tokenizer))}
    assert "ete" in found
    assert not found & {"\u65e5\u672c", "\n\n", "\n", " "}


def test_candidates_differ_from_the_suffix_in_one_proposed_token(context: AttackContext) -> None:
    template, suffix = context.model.template, suffix_of(context, "abc")
    proposed = [suffix_of(context, text) for text in ("xy", "bz", "uvw")]
    drawn = draw_candidates(template, "How?", suffix, proposed, 4, torch.Generator().manual_seed(0))
    wanted = {"xbc", "ybc", "azc", "abu", "abv", "abw"}
    assert len({decoded(template, one) for one in drawn} & wanted) == len(drawn) == 4
    all_six = draw_candidates(template, "How?", suffix, proposed, 50, torch.Generator().manual_seed(0))
    assert {decoded(template, one) for one in all_six} == wanted


def test_candidates_that_no_text_has_are_left_out_unless_there_are_no_others(context: AttackContext) -> None:
    template, suffix = context.model.template, suffix_of(context, "a")
    half = suffix_of(context, "\u00e9")[0]
    generator = torch.Generator().manual_seed(0)
    assert draw_candidates(template, "How?", suffix, [[half, *suffix_of(context, "b")]], 2, generator) == [
        suffix_of(context, "b")
    ]
    assert draw_candidates(template, "How?", suffix, [[half]], 2, generator) == [[half]]


def test_no_tokens_change_nothing(context: AttackContext) -> None:
    with searched_suffix(context, ONE, tokens=0, steps=0, candidates=8, pairs=3) as attacked:
        (asked,) = attacked.ask(MEASURED[0])
        assert (asked.text, asked.ids) == (MEASURED[0].prompt, None)
        assert attacked.details["suffix"] == ""


def test_the_served_model_never_notices(context: AttackContext) -> None:
    before = logits(context.model, {}), logits(context.model, ONE.coefficients)
    with searched_suffix(context, ONE, **SMALL):
        assert is_untouched(context.model)
    assert torch.equal(logits(context.model, {}), before[0])
    assert torch.equal(logits(context.model, ONE.coefficients), before[1])


@pytest.mark.parametrize("call", [1, 2, 5])
def test_stopping_leaves_nothing_and_the_next_call_finds_the_same(
    context: AttackContext, tmp_path: Path, call: int
) -> None:
    with searched_suffix(dataclasses.replace(context, folder=tmp_path / "whole"), BASE, **SMALL) as attacked:
        wanted = attacked.details
    before = logits(context.model, {})
    with pytest.raises(Cancelled), searched_suffix(dataclasses.replace(context, check=stop_at(call)), BASE, **SMALL):
        pass
    assert is_untouched(context.model)
    assert torch.equal(logits(context.model, {}), before)
    assert not list(context.folder.glob("*"))
    with searched_suffix(context, BASE, **SMALL) as attacked:
        assert attacked.details == wanted, "the seed decides"
    with searched_suffix(dataclasses.replace(context, check=stop_at(1)), BASE, **SMALL) as attacked:
        assert attacked.details == wanted, "it is not searched twice"


def test_a_measurement_has_its_rows_and_details(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTACKS, "gcg", dataclasses.replace(ATTACKS["gcg"], settings=SMALL))
    rows = by_cell(measure(duo, make_plan("gcg"), tmp_path / "work"))
    for variant in ("base", "one@1", "two@0.5"):
        row = rows[variant, "gcg"]
        assert row.n == len(MEASURED)
        assert len(row.attack_details["suffix"]) == SMALL["tokens"], "a character a token"
        assert row.harmful_log_prob != rows[variant, "none"].harmful_log_prob
