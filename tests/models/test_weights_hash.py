"""The full hash of a base sees every single value, and no adapter."""

from __future__ import annotations

from pathlib import Path

from sku.models.variant_model import VariantModel
from sku.models.weights_hash import weights_hash


def test_one_changed_value_changes_the_hash(pico: VariantModel) -> None:
    before = weights_hash(pico.network)
    weight = pico.network.model.layers[1].mlp.down_proj.weight
    weight.data[3, 5] += 1e-3
    assert weights_hash(pico.network) != before
    weight.data[3, 5] -= 1e-3


def test_adapters_do_not_change_it(pico: VariantModel, adapters: dict[str, Path]) -> None:
    before = weights_hash(pico.network)
    pico.add("one", adapters["one"])
    assert weights_hash(pico.network) == before
    pico.remove("one")
    assert weights_hash(pico.network) == before
