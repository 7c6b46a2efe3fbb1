"""Rounding attacks: the grid of the base, what survives, and the adapter kept apart."""

from __future__ import annotations

import pytest
import torch

from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.attacks.quantise import ROUNDINGS, base_linear, decoder_linears, round_weights, weight_change
from sku.models.variant_model import VariantModel
from sku.models.weights_hash import weights_hash
from tests.models.test_altered_model import weights

BASE, ONE = Variant("base", 0.0), Variant("one", 1.0, {"one": -1.0})
IDS = torch.arange(20, 40)[None]


@torch.no_grad()
def logits(model: VariantModel, coefficients: dict[str, float]) -> torch.Tensor:
    with model.rows([coefficients]) as network:
        found: torch.Tensor = network(input_ids=IDS).logits
    return found


def put_on_grid(model: VariantModel) -> None:
    for _, layer in decoder_linears(model):
        weight = base_linear(layer).weight
        weight.data = ROUNDINGS["int4"](weight.data)
    model.loaded_hash = weights_hash(model.network)  # as if it had been loaded so


def test_int4_leaves_a_base_on_its_own_grid_bit_for_bit(context: AttackContext) -> None:
    put_on_grid(context.model)
    before = logits(context.model, {})
    with round_weights(context, BASE, "int4", apart=False) as attacked:
        assert torch.equal(logits(attacked.model, attacked.coefficients), before)


def test_a_merged_variant_is_rounded_as_a_whole(context: AttackContext) -> None:
    with round_weights(context, ONE, "int8", apart=False) as attacked:
        assert attacked.coefficients == {}, "the adapter is part of the rounded weights"
        near = logits(attacked.model, {})
    wanted = logits(context.model, ONE.coefficients)
    assert not torch.equal(near, wanted)
    assert (near - wanted).abs().max() < 0.3 * (wanted - logits(context.model, {})).abs().max()


def test_an_adapter_kept_apart_stays_whole(context: AttackContext) -> None:
    put_on_grid(context.model)
    with round_weights(context, ONE, "int4", apart=True) as attacked:
        assert attacked.coefficients == ONE.coefficients
        assert torch.equal(logits(attacked.model, attacked.coefficients), logits(context.model, ONE.coefficients))
        assert attacked.details == {}


def test_how_much_survives_lies_between_nothing_and_about_all(context: AttackContext) -> None:
    put_on_grid(context.model)
    small = Variant("one", 1e-4, {"one": -1e-4})
    with round_weights(context, small, "int4", apart=False) as attacked:
        assert attacked.details["survived"] < 0.5, "a change far below the grid's step mostly falls back"
    with round_weights(context, ONE, "int8", apart=False) as attacked:
        assert attacked.details["survived"] == pytest.approx(1, abs=0.05)
        assert set(attacked.details["survived_by_layer"]) == {"0", "1"}


def test_the_change_of_a_layer_is_the_scaled_product_of_its_factors(duo: VariantModel) -> None:
    _, layer = next((name, layer) for name, layer in decoder_linears(duo) if name.endswith("0.self_attn.q_proj"))
    a, b = layer.lora_A["one"].weight, layer.lora_B["one"].weight  # type: ignore[union-attr,index]
    change = weight_change(duo, layer, {"one": -0.5})
    assert change is not None
    torch.testing.assert_close(change, -0.5 * 2 * (b @ a))  # alpha / rank is 2


@pytest.mark.parametrize("rounding", ["int4", "int8", "int8-by-output"])  # pico is too narrow for groups of 64
def test_the_base_is_untouched_while_and_after_it_is_attacked(context: AttackContext, rounding: str) -> None:
    before, values = logits(context.model, {}), weights(context.model)
    with round_weights(context, ONE, rounding, apart=False) as attacked:
        logits(attacked.model, {})
        assert torch.equal(logits(context.model, {}), before)
    assert torch.equal(logits(context.model, {}), before)
    assert weights(context.model) == values


def test_weights_that_do_not_fit_are_refused(context: AttackContext) -> None:
    with (
        pytest.raises(ValueError, match="cannot be rounded in groups of 64"),
        round_weights(context, ONE, "int4-g64", apart=False),
    ):
        pass
