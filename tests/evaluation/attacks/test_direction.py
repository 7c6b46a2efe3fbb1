"""Removing a direction leaves nothing along it, and leaves the served model alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sku.core.errors import Cancelled
from sku.core.variants import Variant
from sku.evaluation.attacks.attacked_likelihood import mean_given_log_prob
from sku.evaluation.attacks.direction import (
    PAIRS_TO_CHOOSE_BY,
    TOKENS_TO_CHOOSE_BY,
    refusal_directions,
    remove_direction,
    without_direction,
)
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.decoder_blocks import decoder_blocks, hidden_states_of, last_prompt_states
from sku.models.variant_model import fingerprint
from tests.evaluation.attacks.conftest import hooks_left, stop_at
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits


def random_direction() -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(32, generator=torch.Generator().manual_seed(4)), dim=0)


def test_no_block_puts_out_anything_along_the_direction(any_context: AttackContext) -> None:
    direction = random_direction()
    attacked = without_direction(any_context.model, direction)
    seen: list[torch.Tensor] = []
    looks = [
        ModuleHook(block, lambda _m, _i, out: seen.append(hidden_states_of(out)))
        for block in decoder_blocks(any_context.model.network)
    ]
    logits(AlteredModel(attacked, hooks=looks), ONE.coefficients)
    assert len(seen) == 2
    for hidden in seen:
        assert hidden.shape == (1, 20, 32), "every token"
        assert (hidden @ direction).abs().max() < 1e-5 * hidden.norm(dim=-1).max()


def test_only_the_component_along_the_direction_goes(any_context: AttackContext) -> None:
    direction, model = random_direction(), any_context.model
    first = last_prompt_states(model, ["How?"], {})[0, 0]
    without = last_prompt_states(without_direction(model, direction), ["How?"], {})[0, 0]
    torch.testing.assert_close(without, first - (first @ direction) * direction, atol=1e-5, rtol=1e-5)


def test_removing_nothing_changes_nothing(any_context: AttackContext) -> None:
    before = logits(any_context.model, ONE.coefficients)
    assert torch.equal(logits(without_direction(any_context.model, torch.zeros(32)), ONE.coefficients), before)


def test_the_directions_are_differences_of_means_of_the_variant_itself(context: AttackContext) -> None:
    found = refusal_directions(context, ONE)
    assert found.shape == (1, 32), "the first 80 % of two layers"
    means = [
        torch.stack([last_prompt_states(context.model, [pair.prompt], ONE.coefficients)[0, 0] for pair in pairs]).mean(
            0
        )
        for pairs in (context.data.harmful, context.data.normal)
    ]
    wanted = means[0] - means[1]
    torch.testing.assert_close(found[0], wanted / wanted.norm(), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, refusal_directions(context, BASE), atol=1e-2)


def test_the_layer_whose_removal_helps_most_is_chosen(context: AttackContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sku.evaluation.attacks.direction.SHARE_OF_LAYERS", 1.0)
    pairs = context.data.harmful[:PAIRS_TO_CHOOSE_BY]

    def log_prob(model: object) -> float:
        return mean_given_log_prob(AttackedModel(model, ONE.coefficients), pairs, TOKENS_TO_CHOOSE_BY)  # type: ignore[arg-type]

    raised = [
        log_prob(without_direction(context.model, r)) - log_prob(context.model)
        for r in refusal_directions(context, ONE)
    ]
    with remove_direction(context, ONE) as attacked:
        assert attacked.details["layer"] == raised.index(max(raised))
        assert attacked.details["raised"] == pytest.approx(max(raised), abs=1e-5)
    assert raised[0] != raised[1]


def test_measured_prompts_do_not_choose(context: AttackContext) -> None:
    with (
        remove_direction(dataclasses.replace(context, measured=()), ONE) as blind,
        remove_direction(context, ONE) as seen,
    ):
        assert blind.details == seen.details


@pytest.mark.parametrize("variant", [BASE, ONE], ids=str)
def test_the_served_model_is_as_before(any_context: AttackContext, variant: Variant) -> None:
    model = any_context.model
    before, name, hooks = logits(model, variant.coefficients), fingerprint(model.network), hooks_left(model)
    with remove_direction(any_context, variant) as attacked:
        assert not torch.equal(logits(attacked.model, attacked.coefficients), before)
        assert torch.equal(logits(model, variant.coefficients), before), "while it is attacked"
    assert torch.equal(logits(model, variant.coefficients), before)
    assert fingerprint(model.network) == name
    assert hooks_left(model) == hooks


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_cancelling_leaves_nothing_behind(context: AttackContext, calls: int) -> None:
    before, hooks = logits(context.model, ONE.coefficients), hooks_left(context.model)
    with pytest.raises(Cancelled), remove_direction(dataclasses.replace(context, check=stop_at(calls)), ONE):
        pass
    assert torch.equal(logits(context.model, ONE.coefficients), before)
    assert hooks_left(context.model) == hooks
