"""Decoder blocks are found without their names, and their hidden states are those of the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sku.models.decoder_blocks import (
    PROMPTS_PER_FORWARD,
    decoder_blocks,
    hidden_states_of,
    last_prompt_states,
    replace_hidden_states,
)
from sku.models.variant_model import VariantModel
from tests.conftest import ARCHITECTURES, PADDED, build_network, byte_tokenizer, save_adapter

PROMPTS = ["Why?", "How do I bake a loaf of bread without an oven?", "What is rain?"]


@pytest.fixture(params=list(PADDED))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> VariantModel:
    network = build_network(request.param)
    built = VariantModel(network, byte_tokenizer())
    built.add("one", save_adapter(network, tmp_path / "one", seed=3))
    return built


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_blocks_are_the_modules_between_embedding_and_norm(architecture: str) -> None:
    blocks = decoder_blocks(build_network(architecture))
    assert [type(block).__name__ for block in blocks] == [type(blocks[0]).__name__] * 2
    assert type(blocks[0]).__name__.endswith("DecoderLayer")


def test_the_states_are_those_of_each_prompt_read_alone(model: VariantModel) -> None:
    found = last_prompt_states(model, PROMPTS, {"one": -1.0})
    assert found.shape == (2, 3, 32)
    for i, prompt in enumerate(PROMPTS):
        ids = torch.tensor([model.template.prompt_ids(prompt)])
        with torch.no_grad(), model.rows([{"one": -1.0}]) as network:
            wanted = network(input_ids=ids, output_hidden_states=True).hidden_states[1][0, -1]
        torch.testing.assert_close(found[0, i], wanted, atol=1e-4, rtol=1e-4)


def test_prompts_are_read_in_batches_and_keep_their_order(duo: VariantModel) -> None:
    prompts = [f"Question {i}" for i in range(PROMPTS_PER_FORWARD + 3)]
    checks: list[int] = []
    found = last_prompt_states(duo, prompts, {}, lambda: checks.append(1))
    assert len(checks) == 2
    torch.testing.assert_close(found[:, -1:], last_prompt_states(duo, prompts[-1:], {}), atol=1e-4, rtol=1e-4)


def test_no_prompt_is_an_error(duo: VariantModel) -> None:
    with pytest.raises(ValueError, match="no prompt whose hidden states"):
        last_prompt_states(duo, [], {})


def test_no_hook_is_left(model: VariantModel) -> None:
    last_prompt_states(model, PROMPTS, {})
    assert not any(module._forward_hooks for module in decoder_blocks(model.network))


def test_a_network_without_blocks_is_named(duo: VariantModel) -> None:
    network = nn.Linear(2, 2)
    network.config = duo.network.config
    with pytest.raises(ValueError, match="Linear has no list of 2 blocks"):
        decoder_blocks(network)


def test_only_the_hidden_states_of_a_tuple_are_replaced() -> None:
    hidden, other, cache = torch.ones(1), torch.zeros(1), object()
    assert hidden_states_of((hidden, cache)) is hidden
    assert replace_hidden_states((hidden, cache), other) == (other, cache)
    assert replace_hidden_states(hidden, other) is other
