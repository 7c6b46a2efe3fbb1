"""Rows that share tokens give what separate rows give, and each distinct beginning runs once."""

from __future__ import annotations

import pytest
import torch

from sku.models.partial_forward import PartialForward
from sku.models.shared_tokens import lay_out, use_shared_tokens
from tests.conftest import PADDED, build_network

ROWS = [(1, 2, 3, 4, 5), (1, 2, 3, 9), (1, 2, 3, 4, 5), (7,), (1, 2, 8, 4, 5, 6)]
CPU = torch.device("cpu")


def test_each_distinct_beginning_has_one_place() -> None:
    layout = lay_out(ROWS, [1, 1, 1, 1, 1], True, CPU)
    assert layout.input_ids.tolist() == [[1, 2, 3, 4, 5, 9, 7, 8, 4, 5, 6]]
    assert layout.position_ids is not None
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 4, 3, 0, 2, 3, 4, 5]]
    for row, places in zip(ROWS, layout.places, strict=True):
        assert layout.input_ids[0, places[: len(row)]].tolist() == list(row)
    apart = lay_out(ROWS, [1, 2, 2, 1, 1], True, CPU)
    assert apart.input_ids.shape[1] == 11 + 5, "rows with other coefficients share nothing"
    assert apart.column([-1.0, 1.0, 1.0, -1.0, -1.0]).flatten().tolist() == [-1.0] * 5 + [1.0] * 6 + [-1.0] * 5


@pytest.mark.parametrize("shared", [True, False])
def test_states_of_rows_are_gathered_into_the_pass_and_found_again(shared: bool) -> None:
    keys = [1, 1, 2, 1, 1]
    layout = lay_out(ROWS, keys, shared, CPU)
    states = [torch.tensor([[100.0 * key + token] for token in row]) for row, key in zip(ROWS, keys, strict=True)]
    flat = layout.gather(states).flatten(0, 1)
    for row, places, wanted in zip(ROWS, layout.places, states, strict=True):
        assert torch.equal(flat[places[: len(row)]], wanted)


@pytest.mark.parametrize("architecture", PADDED)
def test_hidden_states_are_those_of_each_row_alone(architecture: str) -> None:
    network = build_network(architecture)
    partial = PartialForward(network)
    shared = use_shared_tokens(network)
    layout = lay_out(ROWS, [()] * len(ROWS), shared, CPU)
    with torch.no_grad():
        found = partial.run(layout, {1, 2})
        for row, places in zip(ROWS, layout.places, strict=True):
            alone = network.base_model(torch.tensor([row]), output_hidden_states=True).hidden_states
            for level in (1, 2):
                mine = found[level].flatten(0, 1)[places[: len(row)]]
                assert torch.allclose(mine, alone[level][0], atol=1e-5)
        upper = partial.run(layout, {2}, start=1, given=found[1])[2]
    assert torch.allclose(upper, found[2], atol=1e-5), "the upper block continues from known states"


def test_blocks_that_are_left_out_do_not_run_and_are_back_afterwards() -> None:
    network = build_network()
    partial = PartialForward(network)
    ran: list[int] = []
    for number, block in enumerate(partial.blocks):
        block.mlp.register_forward_hook(lambda *_, number=number: ran.append(number))
    layout = lay_out(ROWS, [()] * len(ROWS), False, CPU)
    given = partial.run(layout, {1})[1]
    assert ran == [0]
    partial.run(layout, {2}, start=1, given=given)
    assert ran == [0, 1]
    with pytest.raises(RuntimeError):
        partial.run(layout, {2}, start=1, given=given[..., :-1])  # the block fails
    ran.clear()
    partial.run(layout, {2})
    assert ran == [0, 1]
    for levels in (set(), {3}, {1}):
        with pytest.raises(ValueError, match="are not all above 1 and at most 2"):
            partial.run(layout, levels, start=1, given=given)
