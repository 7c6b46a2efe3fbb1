"""The MLP's layers are found in every architecture."""

from __future__ import annotations

import pytest

from sku.models.mlp_layers import mlp_layers
from tests.conftest import ARCHITECTURES, build_network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gate_and_down_are_found_by_structure(architecture: str) -> None:
    found = mlp_layers(build_network(architecture))
    kinds = [
        (mlp.gate.name.rpartition(".")[2] if mlp.gate else None, mlp.down.name.rpartition(".")[2]) for mlp in found
    ]
    assert kinds == [(None, "fc2") if architecture == "opt" else ("gate_proj", "down_proj")] * 2
    assert [mlp.down.layer.in_features for mlp in found] == [64, 64]
    assert [".0." in found[0].down.name, ".1." in found[1].down.name] == [True, True]
