"""A prompt that is read once for all its answers gives what reading it with each gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sku.models import hidden_states, prefix_cache
from sku.models.batching import EncodedPair
from sku.models.hidden_states import answer_hidden_states
from sku.models.variant_model import VariantModel
from tests.conftest import PADDED, build_network, byte_tokenizer, forward_shapes, save_adapter

DRAW = torch.Generator().manual_seed(5)


def ids(length: int) -> tuple[int, ...]:
    return tuple(torch.randint(0, 256, (length,), generator=DRAW).tolist())


PREFIX = ids(20)
PROMPTS, ANSWERS = [ids(3), ids(14), ids(40)], [ids(1), ids(6), ids(25)]
ALIKE = [PREFIX + ids(2), PREFIX + ids(11), PREFIX + ids(30)]
COEFFICIENTS: list[Mapping[str, float]] = [{}, {"one": -1.0}, {"one": 0.5}]


def pair(prompt: tuple[int, ...], answer: tuple[int, ...]) -> EncodedPair:
    return EncodedPair(prompt + answer, len(prompt))


def alone(model: VariantModel, row: EncodedPair, coefficients: Mapping[str, float]) -> torch.Tensor:
    """By the definition: one row, one forward."""
    with torch.no_grad(), model.rows([coefficients]) as network:
        hidden = network.base_model(input_ids=torch.tensor([row.ids]), use_cache=False).last_hidden_state[0]
    return hidden[row.prompt_tokens - 1 :]


@pytest.fixture(scope="module", params=list(PADDED))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VariantModel:
    network = build_network(request.param)
    built = VariantModel(network, byte_tokenizer())
    built.add("one", save_adapter(network, tmp_path_factory.mktemp("adapters") / "one", seed=3))
    return built


def rows_of(prompts: list[tuple[int, ...]]) -> st.SearchStrategy[list[Any]]:
    row = st.tuples(st.sampled_from(prompts), st.sampled_from(ANSWERS), st.sampled_from(COEFFICIENTS))
    return st.lists(row, min_size=1, max_size=7)


@settings(max_examples=15)  # six architectures
@given(rows=rows_of(PROMPTS) | rows_of(ALIKE))
def test_every_row_is_read_as_if_alone(
    model: VariantModel, rows: list[tuple[tuple[int, ...], tuple[int, ...], Mapping[str, float]]]
) -> None:
    pairs, coefficients = [pair(prompt, answer) for prompt, answer, _ in rows], [c for _, _, c in rows]
    for row, c, found in zip(pairs, coefficients, answer_hidden_states(model, pairs, coefficients), strict=True):
        assert found.shape == (1 + len(row.answer), model.network.config.hidden_size)
        torch.testing.assert_close(found, alone(model, row, c), rtol=1e-3, atol=1e-4)


@pytest.fixture
def sizes(duo: VariantModel) -> list[tuple[int, ...]]:
    """Rows and tokens of every forward of `duo`."""
    return forward_shapes(duo)


def test_a_prompt_is_read_once_for_all_its_answers(duo: VariantModel, sizes: list[tuple[int, ...]]) -> None:
    first, second = PROMPTS[1:]
    answer_hidden_states(duo, [pair(first, a) for a in ANSWERS] + [pair(second, ANSWERS[0])], [{}] * 4)
    assert sizes == [(2, 40), (4, 25)]
    sizes.clear()
    answer_hidden_states(duo, [pair(first, ANSWERS[1])] * 2, [{}, {"one": 1.0}])
    assert sizes == [(2, 20)], "another model reads it for itself"
    sizes.clear()
    answer_hidden_states(duo, [pair(first, ANSWERS[1])] * 2, [{}, {"one": 0.0}])
    assert sizes == [(1, 14), (2, 6)], "coefficient 0 is the base"


def test_a_shared_prefix_is_read_once_and_answers_of_similar_length_together(
    duo: VariantModel, sizes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = ids(20)
    prompts = [prefix + ids(3), prefix + ids(9)]
    rows = [pair(prompt, answer) for prompt in prompts for answer in ANSWERS]
    coefficients = [{}, {"one": 1.0}, {}] * 2
    wanted = [alone(duo, row, c) for row, c in zip(rows, coefficients, strict=True)]
    monkeypatch.setattr(hidden_states, "MAX_ROWS_PER_CPU_FORWARD", 4)
    sizes.clear()
    for mine, by_itself in zip(answer_hidden_states(duo, rows, coefficients), wanted, strict=True):
        torch.testing.assert_close(mine, by_itself, rtol=1e-3, atol=1e-4)
    assert sizes == [(2, 20), (4, 9), (4, 6), (2, 25)], "twice by two models, four prompts, the six answers"


def test_the_prefix_of_the_template_is_kept_for_the_next_call(
    duo: VariantModel, sizes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = duo.template.prefix_ids
    monkeypatch.setattr(prefix_cache, "MIN_SHARED_PREFIX_TOKENS", len(template))
    for added, wanted in (
        (3, [(1, len(template)), (1, 3), (2, 6)]),
        (5, [(1, 5), (2, 6)]),
    ):
        sizes.clear()
        row = pair(template + ids(added), ANSWERS[1])
        for found in answer_hidden_states(duo, [row, row], [{"one": 1.0}] * 2):
            torch.testing.assert_close(found, alone(duo, row, {"one": 1.0}), rtol=1e-3, atol=1e-4)
        assert sizes[: len(wanted)] == wanted
    rows = [pair(template + ids(3), ANSWERS[1]), pair(template + ids(5), ANSWERS[2])]
    sizes.clear()
    states = answer_hidden_states(duo, rows, [{"one": 1.0}] * 2)
    assert sizes == [(2, 5), (2, 25)], "prompts that differ after the template do not read it again either"
    for row, found in zip(rows, states, strict=True):
        torch.testing.assert_close(found, alone(duo, row, {"one": 1.0}), rtol=1e-3, atol=1e-4)
