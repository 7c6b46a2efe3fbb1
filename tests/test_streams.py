"""Which rows a term sees: a function of data, seed and step, and of nothing else."""

from __future__ import annotations

import pytest

from sku.config import TrainConfig
from sku.methods import METHODS, TERMS
from sku.prompts import Template
from sku.records import PromptPair
from sku.streams import STREAM_OF, Streams
from tests.conftest import byte_tokenizer

TEMPLATE = Template.of(byte_tokenizer())


def pairs(kind: str, count: int, prompts: int | None = None) -> list[PromptPair]:
    shared = prompts or count
    return [PromptPair(f"{kind} {i % shared}?", f"{kind} answer {i}", kind, "test") for i in range(count)]  # type: ignore[arg-type]


def streams(harmful: list[PromptPair] | None = None, **settings: object) -> Streams:
    config = TrainConfig(**({"batch_size": 4, "max_tokens": 128} | settings))  # type: ignore[arg-type]
    return Streams(harmful or pairs("harmful", 10), pairs("normal", 7), config, TEMPLATE)


def drawn(found: Streams, step: int) -> dict[str, list[str]]:
    return {name: [pair.id for pair in rows.pairs] for name, rows in found.at(step).items()}


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    one, other = streams(), streams()
    other.at(3)
    assert drawn(one, 5) == drawn(other, 5), "what was drawn before must not matter: a resumed run drew nothing"
    assert drawn(one, 5) != drawn(streams(seed=1), 5)


def test_every_pair_comes_once_before_any_comes_again() -> None:
    """Defect 7: the reference never shuffles the harmful pairs and sees only the first 1144 of them, twice."""
    found = streams(harmful=pairs("harmful", 12))
    first = [pair for step in range(3) for pair in drawn(found, step)["harmful"]]
    second = [pair for step in range(3, 6) for pair in drawn(found, step)["harmful"]]
    assert len(set(first)) == len(set(second)) == 12
    assert first != second, "each pass has an order of its own"
    assert first != [pair.id for pair in found.harmful], "the order of the file must not be the order of training"


def test_random_answers_are_never_the_prompts_own() -> None:
    """Also where one prompt has several answers; the reference may draw them."""
    found = streams(harmful=pairs("harmful", 12, prompts=3), disassociation_answers=3)
    own = {(pair.prompt_id, pair.answer) for pair in found.harmful}
    for step in range(30):
        rows = found.at(step)["random"]
        assert len(rows.pairs) == 4 * 3, "K answers a prompt"
        assert not {(pair.prompt_id, pair.answer) for pair in rows.pairs} & own


def test_mismatched_answers_are_normal_answers_to_harmful_prompts() -> None:
    found = streams(method="ga_mismatch")
    normal = {pair.answer for pair in found.normal}
    for pair in found.at(0)["mismatched"].pairs:
        assert pair.prompt.startswith("harmful")
        assert pair.answer in normal


def test_fine_tuning_sees_normal_and_safe_answers() -> None:
    harmful = [PromptPair("bad?", "sure", "harmful", "test", safe_answer="rather not")]
    found = streams(harmful=harmful, method="ft")
    seen = {pair.answer for step in range(4) for pair in found.at(step)["good"].pairs}
    assert seen == {pair.answer for pair in found.normal} | {"rather not"}


def test_processes_share_one_draw() -> None:
    whole = streams().at(2)
    parts = [streams().at(2, process, 2) for process in range(2)]
    for name, rows in whole.items():
        assert rows.pairs == [pair for part in parts for pair in part[name].pairs]


def test_rows_hold_what_the_pairs_say() -> None:
    for rows in streams().at(0).values():
        for pair, row in zip(rows.pairs, rows.encoded, strict=True):
            assert TEMPLATE.text(list(row.answer)) == pair.answer


def test_pairs_that_do_not_fit_are_counted() -> None:
    long = PromptPair("x" * 500, "answer", "harmful", "test")
    empty = PromptPair("prompt only", "", "harmful", "test")
    assert streams(harmful=[*pairs("harmful", 4), long, empty]).left_out == 2


@pytest.mark.parametrize(
    ("harmful", "settings", "said"),
    [
        (pairs("harmful", 5, prompts=1), {}, "all pairs share one prompt"),
        ([PromptPair("x" * 500, "answer", "harmful", "test")], {}, "no harmful training pair fits 128 tokens"),
    ],
)
def test_data_that_cannot_serve_says_why(harmful: list[PromptPair], settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        streams(harmful=harmful, **settings)


def test_no_normal_pair_is_an_error_only_where_one_is_needed() -> None:
    config = TrainConfig(max_tokens=128)
    with pytest.raises(ValueError, match="no normal training pair"):
        Streams(pairs("harmful", 4), [], config, TEMPLATE)
    Streams(pairs("harmful", 4), [], TrainConfig(method="ga", max_tokens=128), TEMPLATE)


def test_every_term_has_a_stream() -> None:
    assert set(STREAM_OF) == set(TERMS)
    assert all(set(method.terms) <= set(STREAM_OF) for method in METHODS.values())
