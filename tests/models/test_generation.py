"""Laws of the one batched decode: a row's text depends on its weights, its prompt and its noise, and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers.cache_utils import DynamicCache

from sku.core.config import DecodingConfig
from sku.core.variants import BASE, KnownAdapter, Variant, resolve_variant
from sku.models import prefix_cache
from sku.models.chat_template import shared_prefix_length
from sku.models.generation import generate_answers, stream_answers
from sku.models.variant_model import VariantModel
from tests.conftest import PADDED, build_network, byte_tokenizer, forward_shapes, save_adapter

BASE_ROW = Variant(BASE, 0.0)
ONE = Variant("one", 1.0, {"one": -1.0})
TWO = Variant("two", 0.5, {"two": 0.5})
PROMPTS = ["Hi", "What is a good way to bake bread at home without an oven?", "Why is the sky blue?"]
IDS = torch.randint(0, 256, (1, 12), generator=torch.Generator().manual_seed(5))


def written(
    model: VariantModel, prompts: list[str], variants: list[Variant], **settings: Any
) -> dict[tuple[str, str, int], list[int]]:
    """Tokens by prompt, variant and sample."""
    config = DecodingConfig(**({"max_new_tokens": 16} | settings))
    *_, last = stream_answers(model, prompts, variants, config)
    return {(w.prompt, str(w.variant), w.sample): list(w.tokens) for w in last}


def with_stops(model: VariantModel, *stops: int) -> VariantModel:
    """The model with other end tokens, so that a test says where answers end."""
    model.template = dataclasses.replace(model.template, stop_ids=frozenset(stops))
    return model


def at_rest(model: VariantModel) -> torch.Tensor:
    """Logits of the network called with no row set: the base's, if it was left as it was found."""
    with torch.no_grad():
        logits: torch.Tensor = model.network(input_ids=IDS).logits
    return logits


def cut(tokens: list[int], ends: set[int]) -> list[int]:
    """Up to the first end token, with it."""
    return next((tokens[: i + 1] for i, token in enumerate(tokens) if token in ends), tokens)


@pytest.fixture(autouse=True)
def prefixes_of_one_token_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law here must hold where a prefix is read once, and Pico's template is short."""
    monkeypatch.setattr(prefix_cache, "MIN_SHARED_PREFIX_TOKENS", 1)


@pytest.fixture(params=list(PADDED))
def each(request: pytest.FixtureRequest, tmp_path: Path) -> VariantModel:
    """A pico model of every architecture with one adapter."""
    network = build_network(request.param)
    adapter = save_adapter(network, tmp_path / "adapter", seed=3)
    model = VariantModel(network, byte_tokenizer())
    model.add("one", adapter)
    return model


def test_greedy_rows_are_what_transformers_writes_for_each_alone(each: VariantModel) -> None:
    free = written(with_stops(each), PROMPTS, [BASE_ROW, ONE])
    assert len({tuple(tokens) for tokens in free.values()}) >= 4, "equal rows would show nothing"
    end = free[PROMPTS[1], "one@1", 0][2]
    batch = written(with_stops(each, end), PROMPTS, [BASE_ROW, ONE])
    assert len({len(tokens) for tokens in batch.values()}) > 1, "some rows must end before others"
    for (prompt, name, _), tokens in batch.items():
        ids = torch.tensor([each.template.prompt_ids(prompt)])
        with each.rows([ONE.coefficients if name == "one@1" else {}]) as network:
            alone = network.generate(ids, do_sample=False, max_new_tokens=16, eos_token_id=end, pad_token_id=0)
        assert tokens == alone[0, ids.shape[1] :].tolist(), f"{name} answers {prompt!r} otherwise in a batch"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_neither_padding_nor_other_rows_change_a_text(each: VariantModel, temperature: float) -> None:
    """The drawn texts are lively where a random model's greedy ones repeat themselves."""
    together = written(with_stops(each), PROMPTS, [BASE_ROW, ONE], temperature=temperature)
    for prompt in PROMPTS:
        for variant in (BASE_ROW, ONE):
            alone = written(each, [prompt], [variant], temperature=temperature)
            assert alone.items() <= together.items(), f"{variant} on {prompt!r} depends on its neighbours"
    assert written(each, PROMPTS[::-1], [ONE, BASE_ROW], temperature=temperature) == together, "order must not matter"


def test_rows_that_end_early_change_no_other_text(each: VariantModel) -> None:
    """Each row stops at its own end and the others go on."""
    free = written(with_stops(each), PROMPTS, [BASE_ROW, ONE], temperature=1.0)
    ends = {free[PROMPTS[0], "one@1", 0][3], free[PROMPTS[1], "base", 0][6]}
    ended = {key: cut(tokens, ends) for key, tokens in free.items()}
    assert len(set(map(len, ended.values()))) > 2, "rows must end at different times, or this test shows nothing"
    assert written(with_stops(each, *ends), PROMPTS, [BASE_ROW, ONE], temperature=1.0) == ended


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_coefficient_zero_writes_the_text_of_the_base(duo: VariantModel, temperature: float) -> None:
    zero = resolve_variant("one@0", lambda _: KnownAdapter("one", "sku"))
    config = DecodingConfig(max_new_tokens=16, temperature=temperature)
    base, at_zero, at_one = generate_answers(duo, PROMPTS[:1], [BASE_ROW, zero, ONE], config)
    assert (at_zero.variant, at_zero.text) == ("one@0", base.text)
    assert at_one.text != base.text, "the adapter does nothing, so this test shows nothing"


def test_rows_that_must_come_out_equal_are_computed_once(duo: VariantModel) -> None:
    sizes = []
    body = duo.network.base_model
    body.register_forward_pre_hook(lambda _m, _a, k: sizes.append(len(k["input_ids"])), with_kwargs=True)
    zero = Variant("one", 0.0)
    answers = written(duo, PROMPTS[:2], [BASE_ROW, zero, ONE], samples=5, max_new_tokens=1)
    assert sizes == [2, 4], "two prompts by two different rows; greedy samples and coefficient 0 cost nothing"
    assert len(answers) == 2 * 3 * 5


@pytest.fixture
def shapes(duo: VariantModel) -> list[tuple[int, ...]]:
    """Rows and tokens of every forward of `duo`."""
    return forward_shapes(duo)


def test_a_prefix_that_all_prompts_share_is_read_once_a_variant(
    duo: VariantModel, shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["Who was it that came?", "Who was it that went away?", "Who was that?"]
    written(duo, asked, [BASE_ROW, ONE], max_new_tokens=1)
    prompts = [duo.template.prompt_ids(prompt) for prompt in asked]
    template, shared, longest = len(duo.template.prefix_ids), shared_prefix_length(prompts), max(map(len, prompts))
    assert template < shared
    assert shapes == [(2, template), (2, shared - template), (6, longest - shared)]
    shapes.clear()
    monkeypatch.setattr(prefix_cache, "MIN_SHARED_PREFIX_TOKENS", shared + 1)
    written(duo, asked, [BASE_ROW, ONE], max_new_tokens=1)
    assert shapes == [(6, longest)], "too little in common to be worth a forward of its own"


def test_the_prefix_of_the_template_is_kept_for_the_next_question(
    duo: VariantModel, shapes: list[tuple[int, ...]]
) -> None:
    first = written(duo, PROMPTS[:1], [BASE_ROW, ONE])
    template, whole = len(duo.template.prefix_ids), len(duo.template.prompt_ids(PROMPTS[0]))
    assert shapes[:2] == [(2, template), (2, whole - template)]
    shapes.clear()
    assert written(duo, PROMPTS[:1], [TWO, ONE, BASE_ROW]).items() >= first.items()
    assert shapes[:2] == [(1, template), (3, whole - template)], "two of the three were asked before"
    duo.remove("two")
    shapes.clear()
    assert written(duo, PROMPTS[:1], [BASE_ROW, ONE]) == first
    assert shapes[0] == (2, template), "adapters changed, so nothing that was read before counts"


def test_a_prompt_without_the_prefix_of_the_template_is_read_whole(
    duo: VariantModel, shapes: list[tuple[int, ...]]
) -> None:
    expected = written(duo, PROMPTS[:1], [ONE])
    object.__setattr__(duo.template, "prefix_ids", (*duo.template.prefix_ids, 1, 2))
    shapes.clear()
    assert written(duo, PROMPTS[:1], [ONE]) == expected
    assert shapes[0] == (1, len(duo.template.prompt_ids(PROMPTS[0])))


def test_answers_come_prompt_by_prompt_variant_by_variant_sample_by_sample(duo: VariantModel) -> None:
    config = DecodingConfig(max_new_tokens=3, temperature=1.0, samples=2, seed=9)
    answers = generate_answers(duo, PROMPTS[:2], [BASE_ROW, ONE], config)
    expected = [(p, v, s) for p in PROMPTS[:2] for v in ("base", "one@1") for s in (0, 1)]
    assert [(a.prompt, a.variant, a.sample) for a in answers] == expected
    assert {a.seed for a in answers} == {9}
    assert len({a.seconds for a in answers}) == 1, "the time is of the whole batch"


def test_tokens_are_only_ever_appended_and_the_columns_show_before_the_first(duo: VariantModel) -> None:
    seen = [
        [list(w.tokens) for w in writings]
        for writings in stream_answers(duo, PROMPTS, [BASE_ROW, ONE], DecodingConfig(max_new_tokens=6))
    ]
    assert seen[0] == [[]] * 6
    assert len(seen) == 7
    for before, after in itertools.pairwise(seen):
        for old, new in zip(before, after, strict=True):
            assert new[: len(old)] == old
            assert len(new) - len(old) <= 1


# --- sampling ---


def test_a_variant_of_equal_weights_draws_the_text_of_the_base(duo: VariantModel) -> None:
    """Shared noise: answers differ because weights do, never because dice did."""
    for layer in duo._unit["one"]:
        layer.lora_B["one"].weight.data.zero_()
    drawn = written(duo, PROMPTS, [BASE_ROW, ONE, TWO], temperature=1.0, samples=3)
    for prompt in PROMPTS:
        for sample in range(3):
            base = drawn[prompt, "base", sample]
            assert drawn[prompt, "one@1", sample] == base, f"sample {sample} of {prompt!r} has noise of its own"
    assert any(drawn[p, "two@0.5", s] != drawn[p, "base", s] for p in PROMPTS for s in range(3))


def test_two_names_of_one_row_draw_the_same(duo: VariantModel) -> None:
    again = Variant("another name", 1.0, {"one": -1.0})
    drawn = written(duo, PROMPTS[:1], [ONE, again], temperature=1.0, samples=2)
    for sample in range(2):
        assert drawn[PROMPTS[0], "one@1", sample] == drawn[PROMPTS[0], "another name@1", sample]


def test_a_column_decoded_again_alone_with_its_seed_is_identical(duo: VariantModel) -> None:
    together = written(duo, PROMPTS, [BASE_ROW, ONE, TWO], temperature=0.8, samples=3, seed=4)
    alone = written(duo, PROMPTS[1:2], [TWO], temperature=0.8, samples=3, seed=4)
    assert alone.items() <= together.items()
    assert written(duo, PROMPTS[1:2], [TWO], temperature=0.8, samples=3, seed=5) != alone


def test_noise_differs_from_sample_to_sample_and_from_prompt_to_prompt(duo: VariantModel) -> None:
    """With a head of zeros every token is equally likely, so what is drawn shows the noise and nothing else."""
    duo.network.get_output_embeddings().weight.data.zero_()
    drawn = written(with_stops(duo), PROMPTS, [BASE_ROW, ONE], temperature=1.0, samples=4)
    noises: dict[tuple[str, int], list[int]] = {}
    for (prompt, name, sample), tokens in drawn.items():
        assert noises.setdefault((prompt, sample), tokens) == tokens, f"{name} has noise of its own"
    assert len({tuple(tokens) for tokens in noises.values()}) == len(PROMPTS) * 4, "two prompts or samples share noise"


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_drawn_frequencies_are_those_of_softmax(pico: VariantModel, temperature: float) -> None:
    """Gumbel-max is a draw from softmax(logits / temperature): chi-square of likely tokens and one bin of the rest."""
    ids = torch.tensor([pico.template.prompt_ids("Hi")])
    with torch.no_grad():
        likely = (pico.network(input_ids=ids).logits[0, -1] / temperature).softmax(-1)
    counts: Counter[int] = Counter()
    for seed in range(16):
        drawn = written(pico, ["Hi"], [BASE_ROW], temperature=temperature, samples=256, seed=seed, max_new_tokens=1)
        counts.update(tokens[0] for tokens in drawn.values())
    total = counts.total()
    bins = [int(token) for token in (likely * total >= 20).nonzero()]
    expected = [float(likely[token]) * total for token in bins]
    seen = [counts[token] for token in bins]
    expected, seen = [*expected, total - sum(expected)], [*seen, total - sum(seen)]
    statistic = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    freedom = len(bins)
    assert freedom >= 5, "too few likely tokens to tell distributions apart"
    assert statistic < freedom + 4 * math.sqrt(2 * freedom), f"chi-square {statistic:.0f} of {freedom} degrees"
    cold = sum((s - e) ** 2 / e for s, e in zip(seen, [total / len(seen)] * len(seen), strict=True))
    assert cold > freedom + 4 * math.sqrt(2 * freedom), "a uniform draw would pass too, so this test shows nothing"


# --- stopping ---


def test_an_answer_says_how_it_stopped_and_does_not_show_its_end(duo: VariantModel) -> None:
    free = written(with_stops(duo), PROMPTS[:1], [BASE_ROW])[PROMPTS[0], "base", 0]
    with_stops(duo, 256)  # the tokenizer's own end token, made the likeliest of all after some tokens
    config = DecodingConfig(max_new_tokens=4)
    (cut,) = generate_answers(duo, PROMPTS[:1], [BASE_ROW], config)
    assert (cut.stopped, cut.tokens) == ("length", 4)
    assert cut.text == duo.template.text(free[:4])
    duo.network.get_output_embeddings().weight.data.zero_()
    duo.network.get_output_embeddings().bias = torch.nn.Parameter(torch.eye(260)[256] * 9)
    (ended,) = generate_answers(duo, PROMPTS[:1], [BASE_ROW], config)
    assert (ended.stopped, ended.tokens, ended.text) == ("end", 1, "")


@pytest.mark.parametrize("after", [0, 1, 5])
def test_cancelling_takes_at_most_one_token_and_leaves_the_base(duo: VariantModel, after: int) -> None:
    rest = at_rest(duo)
    free = written(with_stops(duo), PROMPTS, [BASE_ROW, ONE])
    asked = iter(range(100))
    *_, last = stream_answers(
        duo, PROMPTS, [BASE_ROW, ONE], DecodingConfig(max_new_tokens=16), lambda: next(asked) >= after
    )
    assert {w.stopped for w in last} == {"cancelled"}
    assert {len(w.tokens) for w in last} == {after}
    for w in last:
        assert w.tokens == free[w.prompt, str(w.variant), 0][:after], "what was written before stays"
    assert torch.equal(at_rest(duo), rest), "after a cancelled decode the model must be the base again"


def test_a_row_that_ended_before_the_cancel_stays_ended(duo: VariantModel) -> None:
    free = written(with_stops(duo), PROMPTS[:2], [BASE_ROW])
    end = free[PROMPTS[0], "base", 0][0]
    assert end not in free[PROMPTS[1], "base", 0][:3]
    asked = iter(range(100))
    config = DecodingConfig(max_new_tokens=16)
    *_, last = stream_answers(with_stops(duo, end), PROMPTS[:2], [BASE_ROW], config, lambda: next(asked) >= 3)
    assert [w.stopped for w in last] == ["end", "cancelled"]


def test_a_decode_abandoned_half_way_leaves_the_model_usable_and_at_rest(duo: VariantModel) -> None:
    rest, before = at_rest(duo), written(duo, PROMPTS, [BASE_ROW, ONE])
    abandoned = stream_answers(duo, PROMPTS, [ONE, TWO], DecodingConfig(max_new_tokens=16))
    for _ in range(4):
        next(abandoned)
    assert torch.equal(at_rest(duo), rest), "between two tokens the model must be the base"
    assert written(duo, PROMPTS, [BASE_ROW, ONE]) == before, "a decode that waits must not hold up another"
    cast(Generator[object], abandoned).close()  # what a page does when its visitor leaves
    assert torch.equal(at_rest(duo), rest)
    assert written(duo, PROMPTS, [BASE_ROW, ONE]) == before


def test_two_threads_write_what_one_after_the_other_would(duo: VariantModel) -> None:
    wanted = [([BASE_ROW, ONE], 0.0), ([TWO], 1.0)]
    apart = [written(duo, PROMPTS, variants, temperature=t) for variants, t in wanted]
    got: dict[int, list[Any]] = {0: [], 1: []}
    together = threading.Barrier(2)

    def work(i: int) -> None:
        variants, temperature = wanted[i]
        together.wait()
        for _ in range(4):
            got[i].append(written(duo, PROMPTS, variants, temperature=temperature))

    threads = [threading.Thread(target=work, args=(i,)) for i in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, answers in got.items():
        assert answers == [apart[i]] * 4, f"visitor {i} got rows of the other"


def test_an_error_in_the_forward_leaves_the_base(duo: VariantModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = at_rest(duo)

    def refuse(_self: DynamicCache, _rows: torch.Tensor) -> None:
        raise RuntimeError("out of memory")

    end = written(with_stops(duo), PROMPTS[:1], [ONE])[PROMPTS[0], "one@1", 0][0]
    monkeypatch.setattr(DynamicCache, "batch_select_indices", refuse)
    with pytest.raises(RuntimeError, match="out of memory"):
        written(with_stops(duo, end), PROMPTS, [ONE, TWO])
    assert torch.equal(at_rest(duo), rest)


# --- what cannot be answered ---


def test_too_long_for_the_context_is_said_before_anything_is_written(duo: VariantModel) -> None:
    room = duo.context - len(duo.template.prompt_ids("Hi"))
    next(stream_answers(duo, ["Hi"], [BASE_ROW], DecodingConfig(max_new_tokens=room)))
    with pytest.raises(ValueError, match="take up to 513 tokens and the model holds 512; shorten"):
        next(stream_answers(duo, ["Hi"], [BASE_ROW], DecodingConfig(max_new_tokens=room + 1)))


def test_a_full_context_is_decoded_to_its_last_token(pico: VariantModel) -> None:
    prompt = "x" * (pico.context - 4 - len(pico.template.prompt_ids("")))
    tokens = written(with_stops(pico), [prompt], [BASE_ROW], max_new_tokens=4)
    assert [len(found) for found in tokens.values()] == [4]


@pytest.mark.parametrize(("prompts", "variants"), [([], [BASE_ROW]), (["Hi"], [])])
def test_nothing_to_answer_is_an_error(pico: VariantModel, prompts: list[str], variants: list[Variant]) -> None:
    with pytest.raises(ValueError, match="nothing to answer"):
        generate_answers(pico, prompts, variants, DecodingConfig())


def test_a_variant_whose_adapter_is_not_loaded_is_named(pico: VariantModel) -> None:
    with pytest.raises(ValueError, match=r"\['one'\] are not loaded"):
        generate_answers(pico, ["Hi"], [ONE], DecodingConfig())


def test_decoding_stops_at_a_text_that_ends_an_answer_and_leaves_it_out(duo: VariantModel) -> None:
    (whole,) = generate_answers(with_stops(duo), ["Hi"], [BASE_ROW], DecodingConfig(max_new_tokens=16))
    marker = whole.text[6:9]
    first = whole.text.index(marker)
    duo.template = dataclasses.replace(duo.template, stop_texts=("never written", marker))
    (cut_off,) = generate_answers(duo, ["Hi"], [BASE_ROW], DecodingConfig(max_new_tokens=16))
    assert (cut_off.text, cut_off.stopped) == (whole.text[:first].rstrip(), "end")
    assert cut_off.tokens < whole.tokens
