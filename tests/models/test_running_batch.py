"""Laws of the running batch: requests share its steps, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from sku.core.config import DecodingConfig
from sku.core.variants import BASE, Variant
from sku.models import running_batch
from sku.models.decode_request import PartialAnswer
from sku.models.generation import stream_answers
from sku.models.running_batch import RunningBatch
from sku.models.variant_model import VariantModel
from tests.conftest import PADDED, build_network, byte_tokenizer, forward_shapes, save_adapter
from tests.models.test_generation import BASE_ROW, ONE, TWO, with_stops

LONG = "What is a good way to bake bread at home without an oven?"
ASKED = [("Hi", [BASE_ROW, ONE]), (LONG, [ONE]), ("Why is the sky blue?", [BASE_ROW])]
Stream = Iterator[list[PartialAnswer]]


def ask(
    model: VariantModel,
    batch: RunningBatch | None,
    prompt: str,
    variants: list[Variant],
    tokens: int = 12,
    temperature: float = 0.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Stream:
    config = DecodingConfig(max_new_tokens=tokens, temperature=temperature)
    return stream_answers(model, [prompt], variants, config, cancelled, batch)


def last(stream: Stream) -> list[list[int]]:
    *_, answers = stream
    return [list(answer.tokens) for answer in answers]


def in_turn(*streams: Stream) -> list[list[list[int]]]:
    """One step of each stream in turn until all have ended, as the worker thread does it."""
    found: dict[int, list[list[int]]] = {}
    running = dict(enumerate(streams))
    while running:
        for i, stream in list(running.items()):
            answers = next(stream, None)
            if answers is None:
                del running[i]
            else:
                found[i] = [list(answer.tokens) for answer in answers]
    return [found[i] for i in range(len(streams))]


@pytest.fixture(params=list(PADDED))
def each(request: pytest.FixtureRequest, tmp_path: Path) -> VariantModel:
    """A pico model of every architecture with one adapter."""
    network = build_network(request.param)
    model = VariantModel(network, byte_tokenizer())
    model.add("one", save_adapter(network, tmp_path / "adapter", seed=3))
    return with_stops(model)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_request_gets_what_it_would_get_alone_whenever_it_joins(each: VariantModel, temperature: float) -> None:
    alone = [last(ask(each, None, prompt, variants, temperature=temperature)) for prompt, variants in ASKED]
    assert len({tuple(row) for rows in alone for row in rows}) >= 3, "equal texts would not show a mix-up"
    batch = RunningBatch(each)
    streams = [ask(each, batch, prompt, variants, temperature=temperature) for prompt, variants in ASKED]
    for first, steps in enumerate((3, 2, 0)):  # the second joins after two tokens of the first, and so on
        for _ in range(steps):
            for stream in streams[: first + 1]:
                next(stream)
    assert in_turn(*streams) == alone, "a visitor got a text that depends on the others, or another's text"


def test_one_step_writes_a_token_for_every_request(duo: VariantModel) -> None:
    with_stops(duo)
    shapes, batch = forward_shapes(duo), RunningBatch(duo)
    in_turn(*(ask(duo, batch, prompt, variants, tokens=6) for prompt, variants in ASKED))
    steps = [rows for rows, tokens in shapes if tokens == 1]
    assert steps == [4] * 5, "the first token comes with the prompt, the other five of all four rows together"


def test_who_leaves_takes_nothing_from_the_others(duo: VariantModel) -> None:
    with_stops(duo)
    alone = [last(ask(duo, None, prompt, variants)) for prompt, variants in ASKED]
    batch, stop = RunningBatch(duo), [False]
    streams = [ask(duo, batch, *ASKED[0]), ask(duo, batch, *ASKED[1], cancelled=lambda: stop[0])]
    left = ask(duo, batch, *ASKED[2])
    for _ in range(4):
        for stream in (*streams, left):
            next(stream)
    left.close()  # type: ignore[attr-defined]  # what a page does when its visitor goes
    stop[0] = True
    kept, cut = in_turn(*streams)
    assert kept == alone[0]
    assert cut == [alone[1][0][: len(cut[0])]]
    assert 3 <= len(cut[0]) <= 4, "what was written before the cancel stays, and nothing is added"


def test_an_adapter_that_is_unloaded_ends_only_the_requests_that_use_it(duo: VariantModel) -> None:
    with_stops(duo)
    alone, batch = last(ask(duo, None, "Hi", [ONE])), RunningBatch(duo)
    stays, fails = ask(duo, batch, "Hi", [ONE]), ask(duo, batch, LONG, [TWO])
    for _ in range(3):
        next(stays), next(fails)
    duo.remove("two")
    next(stays)
    with pytest.raises(ValueError, match=r"adapters \['two'\] were unloaded while answers were written; ask again"):
        next(fails)
    assert last(stays) == alone


def test_a_fault_in_a_step_reaches_all_of_the_batch_and_later_requests_work(
    duo: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_stops(duo)
    alone, batch = last(ask(duo, None, "Hi", [ONE])), RunningBatch(duo)
    streams = [ask(duo, batch, "Hi", [ONE]), ask(duo, batch, LONG, [ONE])]
    for stream in streams * 2:
        next(stream)
    with monkeypatch.context() as broken:
        broken.setattr(running_batch, "token_positions", lambda *_: 1 // 0)
        for stream in streams:
            with pytest.raises(ZeroDivisionError):
                next(stream)
    assert last(ask(duo, batch, "Hi", [ONE])) == alone


def test_a_request_without_room_waits_its_turn(duo: VariantModel) -> None:
    with_stops(duo)
    alone = [last(ask(duo, None, prompt, variants)) for prompt, variants in ASKED]
    shapes, batch = forward_shapes(duo), RunningBatch(duo, max_bytes=1)
    assert in_turn(*(ask(duo, batch, prompt, variants) for prompt, variants in ASKED)) == alone
    rows = [rows for rows, tokens in shapes if tokens == 1]
    assert rows == [2] * 11 + [1] * 22, "one request after the other, in the order in which they came"


def test_who_gives_up_waiting_is_not_waited_for(duo: VariantModel) -> None:
    batch = RunningBatch(with_stops(duo), max_bytes=1)
    first, impatient, third = (ask(duo, batch, "Hi", [ONE]) for _ in range(3))
    for stream in (first, impatient, third) * 2:
        next(stream)
    impatient.close()  # type: ignore[attr-defined]
    assert all(len(rows[0]) == 12 for rows in in_turn(first, third))


def test_the_cache_is_as_wide_as_its_longest_row(duo: VariantModel) -> None:
    """Rows that came and went leave no padding behind, however long the batch runs."""
    with_stops(duo)
    shapes, batch = forward_shapes(duo), RunningBatch(duo)
    masks: list[int] = []
    duo.network.base_model.register_forward_pre_hook(
        lambda _m, _a, k: masks.append(k["attention_mask"].shape[1]), with_kwargs=True
    )
    running = [ask(duo, batch, "Hi", [ONE], tokens=8)]
    for _ in range(12):  # always two at work, each half way through when the next comes
        running.append(ask(duo, batch, "Hi", [ONE], tokens=8))
        for _ in range(4):
            for stream in running[-2:]:
                next(stream)
    assert (2, 1) in shapes
    assert max(masks) <= len(duo.template.prompt_ids("Hi")) + 8


def test_very_different_lengths_do_not_share_a_cache(duo: VariantModel) -> None:
    with_stops(duo)
    asked = [("Hi", [BASE_ROW, ONE]), ("x" * 200, [BASE_ROW])]
    alone = [last(ask(duo, None, prompt, variants)) for prompt, variants in asked]
    shapes, batch = forward_shapes(duo), RunningBatch(duo)
    assert in_turn(*(ask(duo, batch, prompt, variants) for prompt, variants in asked)) == alone
    assert {rows for rows, tokens in shapes if tokens == 1} == {1, 2}, "padded to 200 tokens, two rows cost a lot"


def test_between_two_steps_the_model_is_the_base(duo: VariantModel) -> None:
    ids = torch.tensor([duo.template.prompt_ids("Hi")])
    with torch.no_grad():
        rest = duo.network(input_ids=ids).logits
        batch = RunningBatch(duo)
        streams = [ask(duo, batch, "Hi", [ONE]), ask(duo, batch, LONG, [TWO])]
        for stream in streams * 3:
            next(stream)
            assert torch.equal(duo.network(input_ids=ids).logits, rest)


def test_the_base_is_written_as_at_coefficient_zero(duo: VariantModel) -> None:
    batch = RunningBatch(with_stops(duo))
    zero = Variant("one", 0.0, {"one": 0.0})
    base, at_zero, _ = in_turn(*(ask(duo, batch, "Hi", [v]) for v in (Variant(BASE, 0.0), zero, ONE)))
    assert base == at_zero
