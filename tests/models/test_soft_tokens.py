"""Vectors in place of tokens: equal to the tokens whose embeddings they are, in training, scoring and decoding."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from sku.core.config import DecodingConfig
from sku.core.records import AskedPrompt
from sku.core.variants import Variant
from sku.models import prefix_cache
from sku.models.altered_model import AlteredModel
from sku.models.generation import generate_answers
from sku.models.soft_tokens import replace_embeddings
from sku.models.variant_model import VariantModel

RUN = [258, 258, 258]
WORDS = list(b"abc")


@torch.no_grad()
def logits(model: VariantModel, *rows: Sequence[int]) -> Tensor:
    with model.rows([{}] * len(rows)) as network:
        found: Tensor = network(input_ids=torch.tensor(rows)).logits
    return found


def embeddings(model: VariantModel, ids: Sequence[int]) -> Tensor:
    found: Tensor = model.network.get_input_embeddings()(torch.tensor(ids)).detach()
    return found


def softened(model: VariantModel) -> AlteredModel:
    return AlteredModel(model, hooks=[replace_embeddings(model, RUN, embeddings(model, WORDS))])


def test_vectors_of_tokens_read_as_these_tokens(pico: VariantModel) -> None:
    soft = logits(softened(pico), [5, *RUN, 6, 7], [*RUN, 8, 9, 10])
    assert torch.equal(soft, logits(pico, [5, *WORDS, 6, 7], [*WORDS, 8, 9, 10]))


def test_only_the_first_run_of_a_row_is_replaced(pico: VariantModel) -> None:
    assert torch.equal(logits(softened(pico), [5, *RUN, *RUN]), logits(pico, [5, *WORDS, *RUN]))


@pytest.mark.parametrize("row", [[1, 2, 3, 4], [258, 258], [258], [1, 258, 2, 258, 3, 258]], ids=str)
def test_a_row_without_the_run_is_read_as_it_is(pico: VariantModel, row: list[int]) -> None:
    assert torch.equal(logits(softened(pico), row), logits(pico, row))


def test_rows_with_and_without_the_run_share_a_batch(pico: VariantModel) -> None:
    assert torch.equal(logits(softened(pico), [5, *RUN], [1, 2, 3, 4]), logits(pico, [5, *WORDS], [1, 2, 3, 4]))


def test_no_vectors_change_nothing(pico: VariantModel) -> None:
    none = AlteredModel(pico, hooks=[replace_embeddings(pico, [], torch.zeros(0, 32))])
    assert torch.equal(logits(none, [1, 2, 3]), logits(pico, [1, 2, 3]))


@pytest.mark.parametrize("prompts", [["How?"], ["How?", "Why is it so?", "What now, and where?"]], ids=len)
def test_answers_are_those_to_the_tokens_whatever_the_padding_and_the_cached_prefix(
    pico: VariantModel, prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_cache, "MIN_SHARED_PREFIX_TOKENS", 4)

    def asked(run: list[int]) -> list[AskedPrompt]:
        split = [pico.template.split_prompt(prompt) for prompt in prompts]
        return [
            AskedPrompt(prompt, prompt, ids=(*before, *run, *text, *after))
            for prompt, (before, text, after) in zip(prompts, split, strict=True)
        ]

    def texts(model: VariantModel, run: list[int]) -> list[str]:
        config = DecodingConfig(max_new_tokens=12)
        return [one.text for one in generate_answers(model, asked(run), [Variant("base", 0.0)], config)]

    assert len(pico.template.prefix_ids) >= 4, "else no prefix would be cached"
    soft = softened(pico)
    assert texts(soft, RUN) == texts(pico, WORDS)
    assert texts(soft, RUN) == texts(pico, WORDS), "the cached prefix serves a second time"
    assert texts(pico, RUN) != texts(pico, WORDS), "else this test could not fail"


def test_gradients_reach_the_vectors_and_nothing_else(pico: VariantModel) -> None:
    vectors = embeddings(pico, WORDS).requires_grad_()
    model = AlteredModel(pico, hooks=[replace_embeddings(pico, RUN, vectors)])
    with model.rows([{}]) as network:
        loss = network(input_ids=torch.tensor([[5, *RUN, 6]])).logits[0, -1, 0]
    (slope,) = torch.autograd.grad(loss, [vectors])
    assert bool((slope != 0).any(1).all()), "every vector has an effect"
    assert not any(p.requires_grad or p.grad is not None for p in pico.network.parameters())
