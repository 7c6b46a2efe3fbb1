"""What each term sees at each step: a pure function of data, seed and step. No random answer is the prompt's own."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.config import TrainConfig
from sku.core.records import PromptPair
from sku.data import bundled
from sku.models.batching import MIN_ANSWER_TOKENS
from sku.models.chat_template import ChatTemplate
from sku.models.written_answers import PREFILLED
from sku.training.term_batches import WRITTEN_KINDS, TermBatches, TermRows, TermStream
from tests.conftest import byte_tokenizer

TEMPLATE = ChatTemplate.of(byte_tokenizer())


def pair(prompt: str, answer: str, kind: Any = "harmful", safe_answer: str | None = None) -> PromptPair:
    return PromptPair(prompt, answer, kind, "test", safe_answer=safe_answer)


def harmful(count: int) -> list[PromptPair]:
    return [pair(f"How {i}?", f"So {i}.", safe_answer=f"No {i}." if i % 2 else None) for i in range(count)]


def normal(count: int) -> list[PromptPair]:
    return [pair(f"What {i}?", f"That {i}.", "normal") for i in range(count)]


def streams(bad: list[PromptPair], good: list[PromptPair], **settings: Any) -> TermBatches:
    """The pairs of a run. The base wrote two answers of each kind to every harmful prompt."""
    config = TrainConfig(**({"batch_size": 4, "max_tokens": 64} | settings))
    written = {pair.prompt: (f"First {pair.prompt}", f"Second {pair.prompt}") for pair in bad}
    return TermBatches(bad, good, config, TEMPLATE, dict.fromkeys(sorted(WRITTEN_KINDS), written))


def ids(rows: TermRows) -> list[str]:
    return [one.id for one in rows.pairs]


def by_kind(drawn: dict[TermStream, TermRows]) -> dict[str, TermRows]:
    """The rows of a step by their kind, wherever they run."""
    assert len({stream.kind for stream in drawn}) == len(drawn)
    return {stream.kind: rows for stream, rows in drawn.items()}


def by_stream(drawn: dict[TermStream, TermRows], kind: str) -> TermRows:
    """The rows of the only stream of a kind."""
    (rows,) = [rows for stream, rows in drawn.items() if stream.kind == kind]
    return rows


def test_terms_share_rows_only_if_they_run_them_at_the_same_coefficient() -> None:
    assert TermStream.of("distortion") == TermStream.of("ascent") == TermStream("harmful")
    assert TermStream.of("preservation") == TermStream("normal", ("preserved",)) != TermStream("normal")


@pytest.mark.parametrize("method", ["sku", "ga_mismatch", "ft", "altpo", "idk_ap", "relearn", "fpga"])
def test_a_draw_depends_on_the_step_and_on_nothing_that_came_before(method: str) -> None:
    """So a resumed run sees what an uninterrupted one would have seen."""
    straight = streams(harmful(7), normal(5), method=method)
    expected = [straight.at(step) for step in range(12)]
    resumed = streams(harmful(7), normal(5), method=method)
    for step in (11, 3, 3, 0, 7):
        assert resumed.at(step) == expected[step], f"step {step} depends on which steps were drawn before it"


def test_another_seed_and_another_step_draw_otherwise() -> None:
    zero, one = streams(harmful(40), normal(40)), streams(harmful(40), normal(40), seed=1)
    assert len(zero.wanted) == 3
    for name in zero.wanted:
        assert ids(zero.at(0)[name]) != ids(one.at(0)[name]), f"{name} does not heed the seed"
        assert ids(zero.at(0)[name]) != ids(zero.at(1)[name]), f"{name} does not heed the step"


@given(st.integers(1, 23), st.integers(1, 9), st.integers(0, 3))
def test_every_pair_comes_once_before_any_comes_again(count: int, batch_size: int, seed: int) -> None:
    """Defect 7: the reference never reaches most of its harmful rows and repeats the first ones."""
    drawing = streams(harmful(count), normal(count), method="ga_mismatch", batch_size=batch_size, seed=seed)
    for name in ("harmful", "normal"):
        drawn = [one for step in range(3 * count // batch_size + 1) for one in ids(by_kind(drawing.at(step))[name])]
        for start in range(0, len(drawn) - count + 1, count):
            times = Counter(drawn[start : start + count])
            assert set(times.values()) == {1}, f"{name}: pass {start // count} repeats pairs"
            assert len(times) == count


def test_passes_are_shuffled_apart() -> None:
    drawing = streams(harmful(12), normal(12), batch_size=12)
    first, second = (ids(by_kind(drawing.at(step))["harmful"]) for step in (0, 1))
    assert first != second
    assert first != [one.id for one in drawing.harmful], "the file's order is not a draw"


@given(st.integers(0, 30), st.sampled_from([1, 3]))
def test_a_random_answer_is_never_the_prompts_own(step: int, answers: int) -> None:
    """Also where a prompt has several answers, in any case and spacing, and where two prompts share an answer."""
    pairs = [pair("How?", f"Mine {i}.") for i in range(6)]
    pairs += [pair("how? ", "Mine too."), pair("Where?", "Mine 0."), pair("When?", "Theirs.")]
    own: dict[str, set[str]] = {}
    for one in pairs:
        own.setdefault(one.prompt_id, set()).add(one.answer)
    for drawn in by_kind(streams(pairs, normal(3), disassociation_answers=answers).at(step))["random"].pairs:
        assert drawn.answer not in own[drawn.prompt_id], f"{drawn.prompt!r} was taught its own answer as a random one"


@pytest.mark.parametrize("answers", [1, 5])
def test_each_prompt_of_the_step_gets_k_random_answers(answers: int) -> None:
    at = by_kind(streams(harmful(9), normal(3), disassociation_answers=answers).at(2))
    prompts = [one.prompt for one in at["random"].pairs]
    assert prompts == [one.prompt for one in at["harmful"].pairs for _ in range(answers)]


def test_random_answers_are_drawn_anew_each_time() -> None:
    drawing = streams(harmful(9), normal(3), disassociation_answers=4)
    seen = {(one.prompt, one.answer) for step in range(30) for one in by_kind(drawing.at(step))["random"].pairs}
    assert len(seen) == 9 * 8, "every answer of every other prompt must come up sooner or later"


def test_mismatched_answers_are_normal_ones_to_harmful_prompts() -> None:
    drawing = streams(harmful(9), normal(5), method="ga_mismatch")
    answers = {one.answer for one in drawing.normal}
    for at in (by_kind(drawing.at(step)) for step in range(6)):
        assert [one.prompt for one in at["mismatched"].pairs] == [one.prompt for one in at["harmful"].pairs]
        assert {one.answer for one in at["mismatched"].pairs} <= answers


def test_fine_tuning_learns_normal_answers_and_safe_ones_and_no_harmful_one() -> None:
    drawing = streams(harmful(6), normal(3), method="ft", batch_size=6)
    assert {one.answer for one in by_kind(drawing.at(0))["good"].pairs} == {
        "That 0.",
        "That 1.",
        "That 2.",
        "No 1.",
        "No 3.",
        "No 5.",
    }


@pytest.mark.parametrize("method", ["sku", "ga_mismatch", "ft"])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_partition_the_draw_of_one(method: str, processes: int) -> None:
    drawing = streams(harmful(9), normal(7), method=method, disassociation_answers=3)
    for step in range(4):
        whole = drawing.at(step)
        shares = [drawing.at(step, process, processes) for process in range(processes)]
        for name, rows in whole.items():
            parts = [share[name] for share in shares]
            assert len({len(part.pairs) for part in parts}) == 1, "the mean over processes would weigh rows unequally"
            assert list(itertools.chain(*(part.pairs for part in parts))) == rows.pairs
            assert list(itertools.chain(*(part.encoded for part in parts))) == rows.encoded


def test_rows_are_encoded_with_their_own_answer() -> None:
    rows = by_kind(streams(harmful(9), normal(7)).at(0))["random"]
    assert [TEMPLATE.text(list(row.answer)) for row in rows.encoded] == [one.answer for one in rows.pairs]


def test_only_the_rows_that_the_method_uses_are_drawn() -> None:
    assert set(by_kind(streams(harmful(3), normal(3), method="tv").at(0))) == {"harmful"}
    assert set(by_kind(streams(harmful(3), normal(3), preservation="off").at(0))) == {"harmful", "random"}
    assert set(by_kind(streams(harmful(3), normal(3), weights={"disassociation": 0.0}).at(0))) == {"harmful", "normal"}


def test_pairs_that_cannot_be_used_are_left_out_and_counted() -> None:
    fits = 64 - MIN_ANSWER_TOKENS - len(TEMPLATE.prompt_ids(""))
    bad = [*harmful(4), pair("x" * fits, "just fits"), pair("x" * (fits + 1), "too long"), pair("Unanswered?", "")]
    drawing = streams(bad, [*normal(2), pair("y" * 99, "too long", "normal")])
    assert drawing.left_out == 3
    assert (len(drawing.harmful), len(drawing.normal)) == (5, 2)
    assert "x" * fits in {one.prompt for one in drawing.harmful}


# --- data that a method cannot learn from ---


def test_random_answers_need_another_prompt() -> None:
    with pytest.raises(ValueError, match="one prompt already has all of them; add prompts"):
        streams([pair("How?", f"So {i}.") for i in range(5)], normal(3))
    streams([pair("How?", f"So {i}.") for i in range(5)], normal(3), method="sku_no_disassociation")


def test_random_answers_need_another_answer() -> None:
    with pytest.raises(ValueError, match="one prompt already has all of them"):
        streams([pair(f"How {i}?", "All the same.") for i in range(5)], normal(3))


@pytest.mark.parametrize(
    ("method", "bad", "good", "said"),
    [
        ("sku", [], normal(3), "there is no harmful training pair; choose other data"),
        ("sku", harmful(3), [], "there is no normal training pair; choose other data"),
        (
            "ga",
            [pair("x" * 99, "too long")],
            [],
            "all 1 harmful training prompts are too long for max_to",
        ),
        ("ga", [pair("How?", "")] * 2, [], "none of the 2 harmful training pairs has an answer"),
        ("ga_mismatch", harmful(3), [], "there is no normal training pair"),
        ("ft", [pair("How?", "So.")], [], "fine-tuning needs normal or safe answers"),
    ],
)
def test_missing_pairs_are_an_error_before_the_first_step(
    method: str, bad: list[PromptPair], good: list[PromptPair], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        streams(bad, good, method=method)


def test_a_method_needs_only_the_pairs_that_it_uses() -> None:
    assert by_kind(streams(harmful(3), [], method="tv").at(0))["harmful"].pairs
    assert by_kind(streams([], normal(3), method="ft").at(0))["good"].pairs


def test_a_run_without_any_term_is_an_error() -> None:
    with pytest.raises(ValueError, match="all terms of tv have weight 0"):
        streams(harmful(3), normal(3), method="tv", weights={"distortion": 0.0})


def test_contrast_sees_harmful_and_safe_answers_of_the_same_prompts_by_turns() -> None:
    drawing = streams(harmful(9), normal(4), method="sku_contrast", refusals=False)
    drawn = by_kind(drawing.at(0))["paired"].pairs
    assert len(drawn) == 8
    for bad, safe in zip(drawn[::2], drawn[1::2], strict=True):
        assert bad.prompt == safe.prompt
        assert bad.answer.startswith("So")
        assert safe.answer.startswith("No")


def test_a_pair_without_a_safe_answer_gets_the_same_refusal_each_time() -> None:
    drawing = streams(harmful(8), normal(4), method="sku_contrast", batch_size=8)
    first = {pair.prompt: pair.answer for pair in by_kind(drawing.at(0))["paired"].pairs[1::2]}
    second = {pair.prompt: pair.answer for pair in by_kind(drawing.at(1))["paired"].pairs[1::2]}
    assert first == second
    assert len(first) == 8
    assert first["How 1?"] == "No 1.", "a safe answer of its own comes first"


def test_contrast_without_safe_answers_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="safe answer"):
        streams([pair("How?", "So.")], normal(4), method="sku_contrast", refusals=False)
    with pytest.raises(ValueError, match="dpo needs harmful pairs with a safe answer"):
        streams([pair("How?", "So.")], normal(4), method="dpo", refusals=False)


def test_refusals_follow_the_given_tokens_of_the_harmful_answer_which_are_not_scored() -> None:
    batches = streams(harmful(6), normal(3), method="sku_directions", given_tokens=(0, 3), max_tokens=128)
    seen = set()
    for step in range(8):
        rows = by_stream(batches.at(step), "refused")
        for one, row in zip(rows.pairs, rows.encoded, strict=True):
            prompt = TEMPLATE.prompt_ids(one.prompt)
            given = list(row.ids[len(prompt) : row.prompt_tokens])
            assert list(row.ids[: len(prompt)]) == prompt
            assert given == TEMPLATE.answer_ids(one.answer)[: len(given)]
            taught = TEMPLATE.text(list(row.answer)[:-1]).strip()
            assert any(refusal.startswith(taught) for refusal in bundled.refusals_for(one.category))
            seen.add(len(given))
    assert seen == {0, 3}


def test_a_refusal_always_has_room_after_the_given_tokens() -> None:
    batches = streams(harmful(4), normal(3), method="sku_directions", given_tokens=(400,), max_tokens=40)
    rows = by_stream(batches.at(0), "refused")
    assert all(len(row.ids) <= 40 and len(row.answer) >= MIN_ANSWER_TOKENS for row in rows.encoded)


def test_a_beginning_that_was_given_to_the_base_is_scored_in_harmful_answers_and_not_in_normal_ones() -> None:
    bad, good = (
        [
            replace(one, answer=f"{PREFILLED.start_for(one.prompt)} {one.answer}", source="prefilled")
            for one in (*harmful(4), *normal(4))
            if one.kind == kind
        ]
        for kind in ("harmful", "normal")
    )
    drawn = streams(bad, good, method="sku_directions", max_tokens=256).at(0)
    for kind in ("harmful", "normal"):
        (rows, *_) = [rows for stream, rows in drawn.items() if stream.kind == kind]
        for one, row in zip(rows.pairs, rows.encoded, strict=True):
            scored = one.answer if kind == "harmful" else one.answer.removeprefix(PREFILLED.start_for(one.prompt))
            assert row.ids == (*TEMPLATE.prompt_ids(one.prompt), *TEMPLATE.answer_ids(one.answer))
            assert row.answer == tuple(TEMPLATE.answer_ids(scored))


def test_a_stream_has_its_share_of_the_batch() -> None:
    drawn = streams(harmful(9), normal(9), method="sku_directions", batch_size=4, max_tokens=128).at(2)
    assert {(stream.kind, stream.runs_at): len(rows.pairs) for stream, rows in drawn.items()} == {
        ("harmful", ("served",)): 4,
        ("harmful", ("trained",)): 2,
        ("refused", ("served",)): 4,
        ("given_safe", ("served",)): 2,
        ("normal", ("served",)): 8,
    }


@pytest.mark.parametrize(("category", "reason"), [("fraud", "fraud"), ("phishing", "break into"), (None, "harm")])
def test_refusals_begin_alike_and_give_a_reason_that_fits_the_category(category: str | None, reason: str) -> None:
    refusals = bundled.refusals_for(category)
    assert all(one.startswith("I can't help with that. ") for one in refusals)
    assert any(reason in one for one in refusals)
    assert bundled.refusals_for("a category that nobody knows") == bundled.refusals_for(None)


def test_safe_rows_are_safe_answers_or_refusals_and_declined_ones_refuse_normal_prompts() -> None:
    drawn = by_kind(streams(harmful(9), normal(9), method="idk_ap").at(0))
    for row in drawn["safe"].pairs:
        assert row.answer == row.safe_answer
        assert row.answer in (f"No {row.prompt[4:-1]}.", *bundled.refusals())
    declined = drawn["declined"].pairs
    for answered, refused in zip(declined[::2], declined[1::2], strict=True):
        assert answered.prompt == refused.prompt
        assert answered.answer.startswith("That")
        assert refused.answer in bundled.refusals()


@pytest.mark.parametrize(("method", "kind"), [("relearn", "evasive"), ("unstar", "anti_sample")])
def test_rows_that_the_base_wrote_are_its_answers_to_the_same_prompts(method: str, kind: str) -> None:
    drawing = streams(harmful(5), normal(5), method=method)
    rows = [row for step in range(5) for row in by_kind(drawing.at(step))[kind].pairs]
    assert all(row.answer in (f"First {row.prompt}", f"Second {row.prompt}") for row in rows)
    assert {row.answer.split()[0] for row in rows} == {"First", "Second"}, "each of the answers gets its turn"


def test_an_alternative_follows_the_harmful_answer_of_its_prompt() -> None:
    rows = by_kind(streams(harmful(5), normal(5), method="altpo").at(0))["alternative"].pairs
    for bad, other in zip(rows[::2], rows[1::2], strict=True):
        assert bad.prompt == other.prompt
        assert bad.answer.startswith("So")
        assert other.answer in (f"First {bad.prompt}", f"Second {bad.prompt}")


def test_a_prompt_that_the_base_did_not_answer_is_passed_over_and_none_at_all_is_an_error() -> None:
    config = TrainConfig(method="unstar", batch_size=4, max_tokens=64)
    written: Any = {"anti_sample": {"How 1?": ("It is broken.",), "How 2?": ()}}
    rows = by_kind(TermBatches(harmful(5), normal(5), config, TEMPLATE, written).at(0))["anti_sample"].pairs
    assert {row.prompt for row in rows} == {"How 1?"}
    with pytest.raises(ValueError, match="the base wrote no usable anti-sample answer"):
        TermBatches(harmful(5), normal(5), config, TEMPLATE, {"anti_sample": {"How 2?": ()}})


@pytest.mark.parametrize("processes", [1, 2])
def test_other_prompts_are_normal_ones_before_the_same_answer_tokens(processes: int) -> None:
    long = [pair("What is it that " + "so " * 20 + f"{i}?", "Yes.", "normal") for i in range(2)]
    settings: dict[str, Any] = {"method": "causal_whp", "weights": {"retention": 0.0}, "batch_size": 4}
    drawing = streams(harmful(9), long, **settings, max_tokens=200)
    drawing.config = TrainConfig(**settings, max_tokens=64)  # a long prompt would leave no room for an answer
    whole = by_kind(drawing.at(3))["harmful"]
    parts = [by_kind(drawing.at(3, process, processes))["harmful"] for process in range(processes)]
    assert [row for part in parts for row in part.other_encoded] == whole.other_encoded
    prompts = [TEMPLATE.prompt_ids(one.prompt) for one in long]
    for row, moved in zip(whole.encoded, whole.other_encoded, strict=True):
        assert moved.answer == row.answer, "what the student writes is what the teacher is asked about"
        assert list(moved.ids[: moved.prompt_tokens]) in prompts
    assert not by_kind(streams(harmful(9), normal(4), method="npo").at(0))["harmful"].other_encoded


def test_another_prompt_needs_normal_pairs() -> None:
    with pytest.raises(ValueError, match="no normal training pair"):
        streams(harmful(3), [], method="causal_whp", weights={"retention": 0.0})
