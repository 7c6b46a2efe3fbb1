"""From lines to rows, by hand: no model is started and no file is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sku.core.records import Outcome, PromptPair, ResultRow
from sku.core.runs import Manifest, Run
from sku.core.variants import Variant
from sku.data.truthfulqa import MultipleChoice
from sku.evaluation.aggregate import result_rows
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant, PromptSets
from sku.evaluation.work_lines import (
    AnswerLine,
    EvaluationLines,
    LikelihoodKind,
    LikelihoodLine,
    SimilarityLine,
    VariantLines,
    VerdictLine,
)

RUN = Run(Path("/nowhere/one"), Manifest("sku", {"seed": 3, "preservation": "keep", "steps": 7}, "m", ""))
BASE = MeasuredVariant(Variant("base", 0.0))
ONE = MeasuredVariant(Variant("one", 1.0, {"one": -1.0}), {"one": RUN})


def pairs(*names: str) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(f"{name}?", f"{name}.", "normal", "test", safe_answer="No.") for name in names)


def answered(found: Mapping[PromptPair, Outcome], similarity: Sequence[float] = (), tokens: int = 4) -> VariantLines:
    ids = [pair.prompt_id for pair in found]
    return VariantLines(
        answers={i: AnswerLine(i, "one@1", "", "", tokens, "end", 0.5) for i in ids},
        verdicts={p.prompt_id: VerdictLine(p.prompt_id, outcome, None, "", -2.0) for p, outcome in found.items()},
        similarities={i: SimilarityLine(i, number) for i, number in zip(ids, similarity, strict=False)},
    )


def scored(kind: LikelihoodKind, found: Mapping[PromptPair, tuple[float, int, float]]) -> dict[LikelihoodKind, Any]:
    return {kind: {pair.id: LikelihoodLine(pair.id, *numbers) for pair, numbers in found.items()}}


def rows(sets: PromptSets, *found: VariantLines, metric: str | None = None, off_topic: bool = False) -> list[ResultRow]:
    empty: dict[LikelihoodKind, Any] = {"harmful": {}, "safe": {}, "own": {}, "reference": {}, "choice": {}}
    lines = [replace(one, likelihoods=empty | one.likelihoods) for one in found]
    plan = EvaluationPlan("m", (BASE, ONE)[-len(found) :], sets, "test")
    return result_rows(plan, EvaluationLines("judge-1", off_topic, metric, tuple(lines)))


def test_a_row_says_what_was_measured_and_how() -> None:
    base, one = rows(PromptSets(), VariantLines(), VariantLines())
    assert (base.variant, base.method, base.coefficient, base.run, base.seed) == ("base", "base", 0.0, "base", None)
    assert (one.variant, one.method, one.coefficient, one.run) == ("one@1", "sku", 1.0, "/nowhere/one")
    assert (one.seed, one.preservation, one.steps) == (3, "keep", 7)
    assert (one.model, one.side, one.judge, one.attack) == ("m", "test", "judge-1", None)
    assert one.decoding["max_new_tokens"] == 64


def test_what_has_no_prompts_is_unknown_and_not_0() -> None:
    (row,) = rows(PromptSets(), VariantLines())
    unknown = {name for name, value in vars(row).items() if value is None}
    assert unknown >= {"harmful_rate", "kl", "perplexity", "own_perplexity", "answer_perplexity", "preference_rate"}
    assert unknown >= {"harmful_log_prob", "safe_log_prob", "over_refusal", "normal_broken", "similarity", "mc1", "mc2"}
    assert unknown >= {"harmful_change", "similarity_metric", "answer_tokens"}


def test_outcomes_of_harmful_prompts_are_counted_and_the_rate_leaves_out_the_unjudged() -> None:
    outcomes: list[Outcome] = ["harmful", "harmful", "refusal", "safe", "broken", "unjudged"]
    harmful = pairs(*"abcdef")
    (row,) = rows(PromptSets(harmful=harmful), answered(dict(zip(harmful, outcomes, strict=True))))
    assert (row.n, row.harmful, row.refusal, row.safe, row.broken, row.unjudged) == (6, 2, 1, 1, 1, 1)
    assert row.harmful_rate == 2 / 5
    assert (row.answer_tokens, row.seconds) == (4, 3.0)
    assert row.answer_perplexity == pytest.approx(math.exp(2.0))


def test_off_topic_answers_are_counted_apart_on_harmful_and_normal_prompts() -> None:
    harmful, normal = pairs(*"abc"), pairs(*"de")
    outcomes: list[Outcome] = ["off-topic", "safe", "harmful", "off-topic", "safe"]
    found = answered(dict(zip([*harmful, *normal], outcomes, strict=True)))
    (row,) = rows(PromptSets(harmful=harmful, normal=normal), found, off_topic=True)
    assert (row.safe, row.off_topic, row.normal_off_topic) == (1, 1, 1)
    assert row.harmful_rate == 1 / 3, "an off-topic answer is judged"


def test_a_judge_that_does_not_tell_off_topic_answers_leaves_their_number_unknown() -> None:
    harmful = pairs("a")
    (row,) = rows(PromptSets(harmful=harmful, normal=harmful), answered({harmful[0]: "safe"}))
    assert (row.safe, row.off_topic, row.normal_off_topic) == (1, None, None)


def test_the_change_from_base_pairs_the_prompts() -> None:
    """The base is harmful on all but one prompt; the variant on two of them, one of which was not judged."""
    harmful = pairs(*"abcde")
    theirs: list[Outcome] = ["harmful", "harmful", "harmful", "harmful", "safe"]
    mine: list[Outcome] = ["safe", "safe", "harmful", "unjudged", "safe"]
    sets = PromptSets(harmful=harmful)
    base, one = rows(sets, *(answered(dict(zip(harmful, some, strict=True))) for some in (theirs, mine)))
    assert base.harmful_change is None
    assert one.harmful_change == pytest.approx(-2 / 4), "1 of 4 against 3 of 4"
    assert (one.harmful_change_low, one.harmful_change_high) == (-1.0, 0.0), "-1 or 0 on each of four prompts"


def test_without_the_base_there_is_no_change_from_it() -> None:
    harmful = pairs("a")
    (row,) = rows(PromptSets(harmful=harmful), answered({harmful[0]: "safe"}))
    assert row.variant == "one@1"
    assert row.harmful_change is None


def test_an_unjudged_answer_is_neither_a_refusal_nor_none() -> None:
    sounds = pairs(*"abc")
    found = answered(dict(zip(sounds, ("refusal", "unjudged", "safe"), strict=True)))
    (row,) = rows(PromptSets(sounds_harmful=sounds), found)
    assert (row.over_refusal, row.over_refusal_n) == (0.5, 2)


def test_broken_and_refused_normal_answers_are_counted_apart() -> None:
    normal = pairs(*"abcd")
    outcomes: list[Outcome] = ["broken", "safe", "refusal", "broken"]
    (row,) = rows(PromptSets(normal=normal), answered(dict(zip(normal, outcomes, strict=True))))
    assert (row.normal_n, row.normal_broken, row.normal_refusal, row.n) == (4, 2, 1, 0)


def test_likelihoods_of_pairs_are_means_and_the_preference_a_share_of_pairs() -> None:
    some = pairs("a", "b")
    harmful, safe = {some[0]: (-1.0, 5, 0.0), some[1]: (-3.0, 5, 0.0)}, dict.fromkeys(some, (-2.0, 1, 0.0))
    found = VariantLines(likelihoods=scored("harmful", harmful) | scored("safe", safe))
    (row,) = rows(PromptSets(pairs=some), found)
    assert (row.harmful_log_prob, row.safe_log_prob, row.preference_rate) == (-2.0, -2.0, 0.5)


def test_kl_is_a_mean_over_answers_and_perplexity_one_over_tokens() -> None:
    some = pairs("a", "b")
    numbers = {some[0]: (-1.0, 30, 0.2), some[1]: (-4.0, 10, 0.4)}
    sets = PromptSets(own=some, references=some[:1])
    found = VariantLines(likelihoods=scored("own", numbers) | scored("reference", {some[0]: numbers[some[0]]}))
    (row,) = rows(sets, found)
    assert row.kl == pytest.approx(0.3)
    assert (row.kl_low, row.kl_high) == pytest.approx((0.2, 0.4)), "a quarter of the draws take one answer twice"
    assert row.own_perplexity == pytest.approx(math.exp((1.0 * 30 + 4.0 * 10) / 40))
    assert row.perplexity == pytest.approx(math.e)


def test_similarity_is_a_mean_over_normal_prompts_with_the_name_of_its_metric() -> None:
    normal = pairs("a", "b")
    found = answered(dict.fromkeys(normal, "safe"), similarity=(0.5, 0.9))
    (row,) = rows(PromptSets(normal=normal), found, metric="minilm-1")
    assert row.similarity == pytest.approx(0.7)
    assert row.similarity_metric == "minilm-1"


def test_multiple_choice_compares_sums_over_tokens() -> None:
    question = MultipleChoice("Who?", "You.", ("He.",), ("You.",), ("He.",))
    numbers = {"You.": (-1.0, 3, 0.0), "He.": (-2.0, 1, 0.0)}  # a token likelier, as a whole less likely
    found = VariantLines(likelihoods=scored("choice", {pair: numbers[pair.answer] for pair in question.pairs}))
    (row,) = rows(PromptSets(choices=(question,)), found)
    assert row.mc1 == 0
    assert row.mc2 == pytest.approx(math.exp(-3) / (math.exp(-3) + math.exp(-2)))


def test_lines_of_another_plan_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        result_rows(EvaluationPlan("m", (BASE, ONE), PromptSets(), "test"), EvaluationLines("judge-1", False, None, ()))
