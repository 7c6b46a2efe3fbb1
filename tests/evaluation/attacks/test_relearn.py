"""Relearning is a fresh adapter beside the variant's own; it is kept, and it leaves nothing behind."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from filelock import FileLock

from sku.core.errors import Cancelled
from sku.core.records import PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.attacked_likelihood import given_log_probs
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.quantise import decoder_linears
from sku.evaluation.attacks.relearn import pairs_of, relearn
from sku.models.variant_model import VariantModel
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits

SETTINGS = {"on": "harmful", "learning_rate": 1e-2}


def mean_log_prob(attacked: AttackedModel, pairs: tuple[PromptPair, ...]) -> float:
    return sum(sum(values) / len(values) for values in given_log_probs(attacked, pairs, 96)) / len(pairs)


@pytest.mark.parametrize("variant", [BASE, ONE], ids=str)
def test_no_steps_change_nothing(context: AttackContext, variant: Variant) -> None:
    before = logits(context.model, variant.coefficients)
    with relearn(context, variant, steps=0, **SETTINGS) as attacked:
        assert torch.equal(logits(attacked.model, attacked.coefficients), before)


def test_training_makes_its_own_answers_likelier(context: AttackContext) -> None:
    before = mean_log_prob(AttackedModel(context.model, ONE.coefficients), context.data.harmful)
    with relearn(context, ONE, steps=20, **SETTINGS) as attacked:
        assert mean_log_prob(attacked, context.data.harmful) > before + 0.2
        assert set(attacked.details["log_prob_by_step"]) == {"0", "2", "5", "10", "15", "20"}


def test_the_curve_starts_at_the_variant_and_counts_steps_to_the_base(context: AttackContext) -> None:
    with relearn(context, BASE, steps=2, **SETTINGS) as attacked:
        details = attacked.details
    assert details["log_prob_by_step"]["0"] == pytest.approx(details["base_log_prob"])
    assert details["steps_to_base"] == 0


def test_the_served_model_is_as_before(context: AttackContext) -> None:
    before, names = logits(context.model, ONE.coefficients), context.model.adapters
    with relearn(context, ONE, steps=3, **SETTINGS):
        assert torch.equal(logits(context.model, ONE.coefficients), before), "other rows do not see the new adapter"
    assert torch.equal(logits(context.model, ONE.coefficients), before)
    assert context.model.adapters == names
    assert not any(parameter.requires_grad for parameter in context.model.network.parameters())


def test_a_trained_adapter_is_used_again(context: AttackContext) -> None:
    with relearn(context, ONE, steps=3, **SETTINGS) as attacked:
        wanted = logits(attacked.model, attacked.coefficients)
    lines: list[str] = []
    with relearn(dataclasses.replace(context, say=lines.append), ONE, steps=3, **SETTINGS) as attacked:
        assert torch.equal(logits(attacked.model, attacked.coefficients), wanted)
    assert not lines, "nothing was trained"


def test_another_coefficient_is_trained_anew(context: AttackContext) -> None:
    for variant in (ONE, Variant("one", 0.5, {"one": -0.5})):
        with relearn(context, variant, steps=1, **SETTINGS):
            pass
    assert len(list(context.folder.glob("relearned-*/adapter"))) == 2


@pytest.mark.parametrize("calls", [1, 3])
def test_cancelling_leaves_no_adapter_and_no_file(context: AttackContext, calls: int) -> None:
    left = calls

    def check() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Cancelled("stop")

    names = context.model.adapters
    with (
        pytest.raises(Cancelled),
        relearn(dataclasses.replace(context, check=check), ONE, steps=5, **SETTINGS),
    ):
        pass
    assert context.model.adapters == names
    assert not any(parameter.requires_grad for parameter in context.model.network.parameters())
    assert {path.suffix for path in context.folder.rglob("*")} == {".lock"}


def test_a_base_without_adapters_can_be_relearned(pico: VariantModel, context: AttackContext) -> None:
    alone = dataclasses.replace(context, model=pico)
    for name in pico.adapters:
        pico.remove(name)
    before = logits(pico, {})
    with relearn(alone, BASE, steps=1, **SETTINGS) as attacked:
        assert attacked.model.adapters
    assert torch.equal(logits(pico, {}), before)
    assert len(decoder_linears(pico)) == 14


def test_missing_pairs_are_named(context: AttackContext) -> None:
    with pytest.raises(ValueError, match="no normal pairs to relearn from"):
        pairs_of(dataclasses.replace(context.data, normal=()), "normal")


def test_an_adapter_that_was_trained_without_a_curve_gets_one_and_stays_the_same(context: AttackContext) -> None:
    lines: list[str] = []
    with relearn(dataclasses.replace(context, measured=()), ONE, steps=3, **SETTINGS) as attacked:
        wanted = logits(attacked.model, attacked.coefficients)
        assert attacked.details == {}
    with relearn(context, ONE, steps=3, **SETTINGS) as attacked:
        assert torch.equal(logits(attacked.model, attacked.coefficients), wanted)
        curve = attacked.details
    assert set(curve["log_prob_by_step"]) == {"0", "2", "3"}
    for measured in ((), context.measured):  # from now on nobody trains it
        again = dataclasses.replace(context, measured=measured, say=lines.append)
        with relearn(again, ONE, steps=3, **SETTINGS) as attacked:
            assert torch.equal(logits(attacked.model, attacked.coefficients), wanted)
            assert attacked.details == (curve if measured else {})
    assert not lines
    assert len(list(context.folder.glob("relearned-*/adapter"))) == 1
    assert not list(context.folder.glob(".*"))


def test_two_who_relearn_the_same_share_an_adapter(context: AttackContext) -> None:
    with relearn(context, ONE, steps=2, **SETTINGS) as first, relearn(context, ONE, steps=2, **SETTINGS) as second:
        wanted = logits(first.model, first.coefficients)
        assert torch.equal(logits(second.model, second.coefficients), wanted)
        assert len(context.model.adapters) == 4
    assert len(context.model.adapters) == 2


def test_who_waits_for_anothers_training_may_stop(context: AttackContext) -> None:
    with relearn(context, ONE, steps=1, **SETTINGS):
        pass
    (lock,) = context.folder.glob("*.lock")

    def check() -> None:
        raise Cancelled("stop")

    waiting = dataclasses.replace(context, check=check)
    with FileLock(lock), pytest.raises(Cancelled), relearn(waiting, ONE, steps=1, **SETTINGS):
        pass
