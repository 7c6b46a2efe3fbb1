"""The base's states of a row are the same to the last bit, whatever runs beside it, and those of the plain network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sku.core.config import TrainConfig
from sku.models.batching import EncodedPair
from sku.models.partial_forward import PartialForward
from sku.models.variant_model import VariantModel
from sku.training.base_states import BaseStates
from sku.training.lora import add_lora
from sku.training.state_cache import StateCache

PREFIX = (5, 6, 7, 8, 9, 10, 11, 12, 13)
ROWS = [
    EncodedPair((*PREFIX, *range(20, 20 + length)), len(PREFIX) + prompt)
    for length, prompt in ((4, 1), (7, 3), (16, 5), (17, 2), (29, 28), (31, 4))
] + [EncodedPair((1, 2, 3, 4), 2), EncodedPair(PREFIX, 4)]  # without the prefix, or with an answer that begins in it


def base_states(model: VariantModel, shared_level: int, cache: StateCache, prefix: tuple[int, ...]) -> BaseStates:
    peft_model = add_lora(model.network, TrainConfig(rank=2))
    return BaseStates(peft_model, PartialForward(model.network), shared_level, cache, prefix)


@pytest.mark.parametrize("shared_level", [0, 1])
def test_states_of_a_row_do_not_depend_on_the_rows_beside_it(
    pico: VariantModel, tmp_path: Path, shared_level: int
) -> None:
    together = base_states(pico, shared_level, StateCache(tmp_path / "together"), PREFIX)
    alone = BaseStates(together.peft_model, together.partial, shared_level, StateCache(tmp_path / "alone"), PREFIX)
    groups = [together.predicting(ROWS, {2}), [alone.predicting([row], {2})[0] for row in ROWS]]
    if shared_level:
        groups = [
            [states | {1: below} for states, below in zip(group, made.below(ROWS), strict=True)]
            for made, group in zip((together, alone), groups, strict=True)
        ]
    for one, other in zip(*groups, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[level], other[level]) for level in one)


@pytest.mark.parametrize("prefix", [(), PREFIX])
@pytest.mark.parametrize("shared_level", [0, 1])
def test_states_are_those_of_the_plain_network(
    pico: VariantModel, tmp_path: Path, shared_level: int, prefix: tuple[int, ...]
) -> None:
    with torch.no_grad():
        plain = [pico.network.base_model(torch.tensor([row.ids]), output_hidden_states=True) for row in ROWS]
    made = base_states(pico, shared_level, StateCache(tmp_path), prefix)
    for _ in range(2):  # computed, then from the cache
        for row, states, output in zip(ROWS, made.predicting(ROWS, {2}), plain, strict=True):
            wanted = output.last_hidden_state[0, row.prompt_tokens - 1 : -1]
            assert torch.allclose(states[2], wanted, atol=1e-5)
        if shared_level:
            for below, output in zip(made.below(ROWS), plain, strict=True):
                assert torch.allclose(below, output.hidden_states[1][0], atol=1e-5)


def test_another_base_has_other_states(pico: VariantModel, tmp_path: Path) -> None:
    cache = StateCache(tmp_path)
    before = base_states(pico, 0, cache, ()).predicting(ROWS[:1], {2})[0][2]
    with torch.no_grad():
        pico.network.get_input_embeddings().weight.mul_(1.5)
    after = BaseStates(pico.network, PartialForward(pico.network), 0, cache)
    assert after._key(ROWS[0], 2) not in cache._kept
    assert cache.get(after._key(ROWS[0], 2)) is None
    assert before.shape == (3, 32)
