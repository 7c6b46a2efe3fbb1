"""Laws of likelihoods under variants, and that bounding their memory changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import kl_div

from sku.models import likelihood
from sku.models.batching import EncodedPair, collate, encode_answer
from sku.models.likelihood import (
    CPU_BATCH_TOKENS,
    MAX_BATCH_TOKENS,
    AnswerLikelihood,
    BaseStates,
    ScoredRow,
    answer_kl,
    answer_log_probs,
    answer_token_logits,
    base_log_probs,
    best_batch_tokens,
    by_length,
    in_batches,
)
from sku.models.variant_model import VariantModel
from tests.conftest import ARCHITECTURES, build_network, byte_tokenizer, save_adapter

Score = Callable[[VariantModel, list[EncodedPair], list[Mapping[str, float]]], object]
DRAW = torch.Generator().manual_seed(11)


def pair(prompt: int, answer: int) -> EncodedPair:
    """Random tokens: so many of a prompt, so many of an answer."""
    return EncodedPair(tuple(torch.randint(0, 256, (prompt + answer,), generator=DRAW).tolist()), prompt)


SHORT, MIDDLE, LONG = pair(3, 2), pair(6, 9), pair(4, 150)
VARIANTS: list[Mapping[str, float]] = [{}, {"one": -1.0}, {"two": 0.5}, {"one": -2.0, "two": 1.0}]


def dense(model: VariantModel, row: EncodedPair, coefficients: Mapping[str, float]) -> AnswerLikelihood:
    """By the definition: all logits of both models, one row, no cut."""
    ids = torch.tensor([row.ids])
    with torch.no_grad(), model.rows([coefficients]) as network:
        log_q = network(input_ids=ids).logits[0].double().log_softmax(-1)
    with torch.no_grad(), model.rows([{}]) as network:
        log_p = network(input_ids=ids).logits[0].double().log_softmax(-1)
    scored = slice(row.prompt_tokens - 1, len(row.ids) - 1)
    kl = kl_div(log_q[scored], log_p[scored], log_target=True, reduction="none").sum(-1)
    said = log_q[scored].gather(1, ids[0, row.prompt_tokens :, None])
    return AnswerLikelihood(float(said.mean()), len(said), float(kl.mean()))


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_it_equals_the_dense_computation_on_every_architecture(architecture: str, tmp_path: Path) -> None:
    network = build_network(architecture)
    model = VariantModel(network, byte_tokenizer())
    model.add("one", save_adapter(network, tmp_path / "one", seed=3))
    rows = [MIDDLE, SHORT, MIDDLE, LONG, MIDDLE]
    coefficients: list[Mapping[str, float]] = [{"one": -1.0}, {"one": 1.0}, {}, {"one": 0.3}, {"one": 2.0}]
    for row, c, got in zip(rows, coefficients, answer_kl(model, rows, coefficients), strict=True):
        assert got == pytest.approx(dense(model, row, c), rel=1e-3, abs=1e-5)
    assert dense(model, MIDDLE, {"one": 2.0}).kl > 0.01, "the adapter does nothing, so this test shows nothing"


def test_the_base_reads_an_answer_once_for_all_calls(duo: VariantModel, monkeypatch: pytest.MonkeyPatch) -> None:
    forwards: list[int] = []
    read = likelihood.answer_hidden_rows
    monkeypatch.setattr(
        likelihood,
        "answer_hidden_rows",
        lambda net, batch: (forwards.append(len(batch.input_ids)), read(net, batch))[1],
    )
    rows: list[EncodedPair] = [MIDDLE, LONG, SHORT]
    kept = BaseStates()
    for adapter in ("one", "two"):
        coefficients: list[Mapping[str, float]] = [{adapter: -1.0}, {adapter: 1.0}, {}]
        for got, wanted in zip(
            answer_kl(duo, rows, coefficients, kept), answer_kl(duo, rows, coefficients), strict=True
        ):
            assert got == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert forwards == [5, 5, 2, 5], "three rows of the base with the first adapter, none with the second"
    assert answer_kl(duo, rows, [{}, {}, {}], kept)[0].kl == 0
    assert len(forwards) == 4, "nothing is left to read"


def test_states_of_the_base_are_kept_while_there_is_room(duo: VariantModel) -> None:
    hidden = duo.network.config.hidden_size
    kept = BaseStates(max_bytes=4 * hidden * len(MIDDLE.answer))
    for row in (LONG, MIDDLE, SHORT):
        answer_kl(duo, [row], [{"one": 1.0}], kept)
    assert [row in kept for row in (LONG, MIDDLE, SHORT)] == [False, True, False]


def test_kl_of_the_base_to_itself_is_exactly_zero(duo: VariantModel) -> None:
    zero = {"one": 0.0, "two": 0.0}
    found = answer_kl(duo, [MIDDLE, LONG, MIDDLE, MIDDLE], [{}, {}, zero, {"one": 1.0}])
    assert [one.kl == 0 for one in found] == [True, True, True, False]
    assert found[0] == found[2], "coefficient 0 is the base"


def test_kl_is_never_negative(duo: VariantModel) -> None:
    small = [{"one": sign * 10.0**-power} for power in range(8) for sign in (1, -1)]
    found = answer_kl(duo, [MIDDLE] * len(small), small)
    assert all(one.kl >= 0 for one in found)
    assert found[0].kl > 1e-4


def test_a_variant_that_is_torn_apart_is_not_taken_for_the_base(duo: VariantModel) -> None:
    torn, whole = answer_kl(duo, [MIDDLE] * 2, [{"one": 1e38}, {"one": 1.0}])
    assert math.isnan(torn.kl), "not a number must not become 0, the base's own KL"
    assert math.isfinite(whole.kl), "and must not reach its neighbour"


def test_a_row_does_not_depend_on_its_batch(duo: VariantModel) -> None:
    rows = [row for row in (SHORT, LONG, MIDDLE) for _ in VARIANTS]
    together = answer_kl(duo, rows, VARIANTS * 3)
    for row, c, got in zip(rows, VARIANTS * 3, together, strict=True):
        (alone,) = answer_kl(duo, [row], [c])
        assert alone == pytest.approx(got, rel=1e-4, abs=1e-6)


def test_results_stand_in_the_order_asked(duo: VariantModel) -> None:
    rows, coefficients = [LONG, SHORT, LONG, SHORT], [VARIANTS[1], VARIANTS[2], VARIANTS[2], VARIANTS[1]]
    forth = answer_kl(duo, rows, coefficients)
    back = answer_kl(duo, rows[::-1], coefficients[::-1])[::-1]
    assert [one.tokens for one in forth] == [150, 2, 150, 2]
    for one, other in zip(forth, back, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_the_log_probability_is_that_of_answer_log_probs(duo: VariantModel) -> None:
    rows = [LONG, SHORT, MIDDLE, MIDDLE]
    found = answer_kl(duo, rows, VARIANTS)
    assert [one.log_prob for one in found] == pytest.approx(answer_log_probs(duo, rows, VARIANTS), rel=1e-5)


def test_one_base_row_serves_every_variant_of_a_pair(duo: VariantModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    rows = duo.rows
    monkeypatch.setattr(duo, "rows", lambda c: sizes.append(len(c)) or rows(c))  # type: ignore[func-returns-value]
    answer_kl(duo, [MIDDLE] * 4, VARIANTS)
    answer_kl(duo, [MIDDLE] * 3 + [SHORT] * 3, VARIANTS[1:] * 2)
    assert sizes == [4, 8]


def test_never_more_rows_of_logits_than_allowed(duo: VariantModel, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[int] = []
    head = likelihood.output_logits

    def counted(network: object, hidden: torch.Tensor) -> torch.Tensor:
        lines.append(len(hidden))
        return head(network, hidden)

    whole = answer_kl(duo, [LONG, MIDDLE, LONG], VARIANTS[1:])
    monkeypatch.setattr(likelihood, "output_logits", counted)
    monkeypatch.setattr(likelihood, "MAX_LOGIT_ROWS", 8)
    bounded = answer_kl(duo, [LONG, MIDDLE, LONG], VARIANTS[1:])
    answer_log_probs(duo, [LONG, MIDDLE, LONG], VARIANTS[1:])
    assert max(lines) <= 8
    for one, other in zip(bounded, whole, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("score", [answer_kl, answer_log_probs])
def test_a_pair_without_an_answer_is_named_not_divided_by_zero(duo: VariantModel, score: Score) -> None:
    with pytest.raises(ValueError, match="row 1 has no token to score"):
        score(duo, [SHORT, EncodedPair(SHORT.ids, len(SHORT.ids))], [{}, {}])


def test_the_base_scores_answers_with_adapters_at_rest(duo: VariantModel) -> None:
    pairs = [("Who?", "A long answer, " * 9), ("Why is it so?", ""), ("When?", "Now.")]
    rows = [encode_answer(duo.template, prompt, text, duo.context) for prompt, text in pairs]
    assert [len(row.answer) for row in rows] == [136, 1, 5], "letters and the end"
    assert base_log_probs(duo, pairs) == pytest.approx(answer_log_probs(duo, rows, [{}] * 3), rel=1e-4)


def test_an_unknown_adapter_is_named(duo: VariantModel) -> None:
    with pytest.raises(ValueError, match=r"\['three'\] are not loaded"):
        answer_kl(duo, [SHORT], [{"three": 1.0}])


# Batches


def test_in_batches_gives_what_one_batch_gives(duo: VariantModel) -> None:
    items = [(row, c) for c in VARIANTS for row in (SHORT, LONG, MIDDLE)]
    at_once = answer_kl(duo, [row for row, _ in items], [c for _, c in items])
    for max_tokens in (1, 40, 320):
        found = in_batches(items, max_tokens, partial(answer_kl, duo))
        for one, other in zip(found, at_once, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    assert in_batches(items, 40, partial(answer_log_probs, duo)) == pytest.approx([x.log_prob for x in at_once])
    assert in_batches([], 40, partial(answer_kl, duo)) == []


LENGTHS = st.lists(st.integers(1, 60), max_size=20)


def test_answers_to_one_prompt_are_read_in_large_batches_and_others_in_small_ones() -> None:
    one = [(EncodedPair((1, 2, 3, i), 3), {}) for i in range(6)]
    others = [(EncodedPair((i, 2, 3, 4), 3), {}) for i in range(6)]
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert best_batch_tokens(one, cpu) == best_batch_tokens(others, gpu) == MAX_BATCH_TOKENS
    assert best_batch_tokens(others, cpu) == CPU_BATCH_TOKENS < MAX_BATCH_TOKENS


@given(LENGTHS, st.integers(1, 200))
def test_batches_hold_every_item_once_and_no_more_than_allowed(lengths: list[int], max_tokens: int) -> None:
    items: list[ScoredRow] = [(EncodedPair(tuple(range(length)), 0), {}) for length in lengths]
    batches = by_length(items, max_tokens)
    assert sorted(place for batch in batches for place in batch) == list(range(len(items)))
    for batch in batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= max_tokens or len(batch) == 1


def test_variants_of_a_pair_share_a_batch() -> None:
    """Four pairs of one length, each asked twice, mixed; batches of two rows of 8 tokens."""
    rows = [pair(4, 4) for _ in range(4)]
    items: list[ScoredRow] = [(row, {"one": c}) for c in (1.0, 2.0) for row in rows]
    assert all(len({items[i][0] for i in batch}) == 1 for batch in by_length(items, 16))


def test_logits_on_answers_are_the_networks_own(pico: VariantModel) -> None:
    row = encode_answer(pico.template, "Why?", "Because.", 256)
    with torch.no_grad():
        scored = answer_token_logits(pico.network, collate([row]))
        whole = pico.network(input_ids=torch.tensor([row.ids])).logits[0]
    assert torch.allclose(scored.logits, whole[row.prompt_tokens - 1 : -1], atol=1e-5)
