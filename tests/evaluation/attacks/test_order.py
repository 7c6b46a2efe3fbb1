"""Unlearn, compress and edit: what is merged is rounded, what is kept apart stays whole."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sku.core.attacks import ATTACKS, attacks_of
from sku.core.errors import Cancelled
from sku.core.variants import Variant
from sku.evaluation.attacks import order
from sku.evaluation.attacks.order import in_order
from sku.evaluation.attacks.procedure import AttackContext, find_weaken
from sku.evaluation.attacks.quantise import ROUNDINGS, base_linear, decoder_linears, round_weights, weight_change
from sku.evaluation.attacks.relearn import relearn
from sku.models.altered_model import AlteredModel
from sku.models.variant_model import fingerprint
from tests.evaluation.attacks.conftest import stop_at
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits, put_on_grid

ORDERS = {name: attack.settings["before"] for name, attack in ATTACKS.items() if attack.kind == "order"}


@pytest.fixture(autouse=True)
def quick_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "EDIT_STEPS", 8)
    monkeypatch.setattr(order, "EDIT_LEARNING_RATE", 1e-2)


def test_the_table_has_every_order_that_is_not_there_already() -> None:
    assert sorted(ORDERS.values()) == [(), ("edit",), ("unlearn",), ("unlearn", "edit")]
    assert attacks_of(["order"]) == tuple(ORDERS)
    assert all(find_weaken(ATTACKS[name]) is in_order for name in ORDERS)


@pytest.mark.parametrize("before", ORDERS.values(), ids=ORDERS)
def test_what_is_merged_is_rounded_and_the_rest_is_added(context: AttackContext, before: tuple[str, ...]) -> None:
    with in_order(context, ONE, before) as attacked:
        found = logits(attacked.model, attacked.coefficients)
    with relearn(context, BASE, "normal", order.EDIT_LEARNING_RATE, order.EDIT_STEPS) as edited:
        steps = {"unlearn": ONE.coefficients, "edit": edited.coefficients}
        weights, merged = {}, {name: c for step in before for name, c in steps[step].items()}
        for _, layer in decoder_linears(context.model):
            weight, change = base_linear(layer).weight, weight_change(context.model, layer, merged)
            weights[weight] = ROUNDINGS["int4"](weight if change is None else weight + change)
        apart = {name: c for step in steps if step not in before for name, c in steps[step].items()}
        assert torch.equal(found, logits(AlteredModel(context.model, weights), apart))
        assert not torch.allclose(found, logits(AlteredModel(context.model, weights), {}), atol=1e-3) or not apart


def test_the_orders_differ(context: AttackContext) -> None:
    found = []
    for before in ORDERS.values():
        with in_order(context, ONE, before) as attacked:
            found.append(logits(attacked.model, attacked.coefficients))
    assert all(not torch.equal(a, b) for i, a in enumerate(found) for b in found[:i])


def test_the_edit_teaches_normal_answers_and_holds_apart(context: AttackContext) -> None:
    put_on_grid(context.model)
    with in_order(context, ONE, ()) as attacked:
        details = attacked.details
    assert details["edit_log_prob"] > details["edit_log_prob_before"] + 0.05
    assert "survived" not in details, "nothing was merged"


def test_without_an_edit_the_orders_are_the_rounding_attacks(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "EDIT_STEPS", 0)
    for before, apart in ((("unlearn", "edit"), False), (("unlearn",), False), (("edit",), True), ((), True)):
        with in_order(context, ONE, before) as attacked:
            found = logits(attacked.model, attacked.coefficients)
        with round_weights(context, ONE, "int4", apart) as attacked:
            torch.testing.assert_close(found, logits(attacked.model, attacked.coefficients), atol=1e-4, rtol=1e-4)


def test_how_much_of_the_merged_vectors_survives_is_told(context: AttackContext) -> None:
    with in_order(context, ONE, ("unlearn", "edit")) as attacked:
        assert 0 < attacked.details["survived"] < 1.5
        assert set(attacked.details["survived_by_layer"]) == {"0", "1"}


@pytest.mark.parametrize("variant", [BASE, ONE], ids=str)
def test_the_served_model_is_as_before(context: AttackContext, variant: Variant) -> None:
    model = context.model
    before, name, adapters = logits(model, variant.coefficients), fingerprint(model.network), model.adapters
    with in_order(context, variant, ("unlearn", "edit")) as attacked:
        logits(attacked.model, attacked.coefficients)
        assert torch.equal(logits(model, variant.coefficients), before), "while it is attacked"
    assert torch.equal(logits(model, variant.coefficients), before)
    assert fingerprint(model.network) == name
    assert model.adapters == adapters


@pytest.mark.parametrize("calls", [1, 5, 12])
def test_cancelling_leaves_no_edit_in_the_model(context: AttackContext, calls: int) -> None:
    before, adapters = logits(context.model, ONE.coefficients), context.model.adapters
    with pytest.raises(Cancelled), in_order(dataclasses.replace(context, check=stop_at(calls)), ONE, ("unlearn",)):
        pass
    assert context.model.adapters == adapters
    assert torch.equal(logits(context.model, ONE.coefficients), before)
