"""The logit lens: the last layer is the model, an earlier one is a model that ends there."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sku.core.errors import Cancelled
from sku.evaluation.attacks import lens
from sku.evaluation.attacks.attacked_likelihood import given_log_probs, mean_given_log_prob
from sku.evaluation.attacks.lens import exit_after, logit_lens
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from tests.evaluation.attacks.conftest import MEASURED, hooks_left, pair, stop_at
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits


def test_the_last_layer_gives_the_ordinary_log_probability(any_context: AttackContext) -> None:
    plain = AttackedModel(any_context.model, ONE.coefficients)
    pairs = (*MEASURED, pair(50, "fraud", "No."))
    with logit_lens(dataclasses.replace(any_context, measured=pairs), ONE, every=1) as attacked:
        by_layer = attacked.details["log_prob_by_layer"]
    assert list(by_layer) == ["0", "1"]
    assert by_layer["1"] == mean_given_log_prob(plain, pairs)
    answers = given_log_probs(plain, pairs, 128)
    assert by_layer["1"] == pytest.approx(sum(sum(one) / len(one) for one in answers) / len(answers))


def test_an_earlier_layer_is_the_network_cut_off_after_it(any_context: AttackContext) -> None:
    model = any_context.model
    early, last, plain = logits(exit_after(model, 0), {}), logits(exit_after(model, 1), {}), logits(model, {})
    body = getattr(model.network.base_model, "decoder", model.network.base_model)
    body.layers = body.layers[:1]
    assert torch.equal(early, logits(model, {}))
    assert torch.equal(last, plain)
    assert not torch.allclose(early, last, atol=1e-2)


@pytest.mark.parametrize(("first", "last", "gap"), [(-3.0, -5.0, 2.0), (-5.0, -3.0, 0.0)])
def test_the_gap_is_how_much_better_the_best_layer_is_than_the_last(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch, first: float, last: float, gap: float
) -> None:
    values = iter([last, first])  # the last layer is measured first
    monkeypatch.setattr(lens, "mean_given_log_prob", lambda *_: next(values))
    with logit_lens(context, ONE, every=1) as attacked:
        assert attacked.details == {"log_prob_by_layer": {"0": first, "1": last}, "gap": gap}


def test_layers_are_counted_back_from_the_last(context: AttackContext) -> None:
    with logit_lens(context, BASE, every=3) as attacked:
        assert list(attacked.details["log_prob_by_layer"]) == ["1"]
        assert attacked.details["gap"] == 0


@pytest.mark.parametrize("calls", [None, 1, 2])
def test_nothing_is_left_behind(any_context: AttackContext, calls: int | None) -> None:
    model = any_context.model
    before, hooks = logits(model, ONE.coefficients), hooks_left(model)
    if calls:
        with (
            pytest.raises(Cancelled),
            logit_lens(dataclasses.replace(any_context, check=stop_at(calls)), ONE, every=1),
        ):
            pass
    else:
        with logit_lens(any_context, ONE, every=1) as attacked:
            assert attacked.model is model
    assert torch.equal(logits(model, ONE.coefficients), before)
    assert hooks_left(model) == hooks
