"""The probe finds what is linearly there, finds nothing in noise, and never sees a measured prompt in training."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sku.core.errors import Cancelled
from sku.evaluation.attacks import probe
from sku.evaluation.attacks.attack_data import AttackData, load_attack_data
from sku.evaluation.attacks.probe import area_under_roc, fit_ridge, probe_auc, ridge_probe
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.attacks.suite import AttackSources, attacked_prompts
from tests.evaluation.attacks.conftest import hooks_left, stop_at
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits


def noise(seed: int, rows: int, shift: float = 0.0) -> torch.Tensor:
    states = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))
    states[:, 3] += shift
    return states


def test_separable_states_are_told_apart_exactly() -> None:
    assert probe_auc(noise(1, 20, 30), noise(2, 30, -30), noise(3, 10, 30), noise(4, 12, -30)) == 1.0


def test_states_that_are_separated_the_other_way_round_score_zero() -> None:
    assert probe_auc(noise(1, 20, 30), noise(2, 30, -30), noise(3, 10, -30), noise(4, 12, 30)) == 0.0


def test_noise_is_told_apart_by_chance() -> None:
    assert probe_auc(noise(1, 40), noise(2, 40), noise(3, 400), noise(4, 400)) == pytest.approx(0.5, abs=0.06)


def test_the_size_of_a_dimension_does_not_matter() -> None:
    states = [noise(1, 20, 1), noise(2, 20), noise(3, 30, 1), noise(4, 30)]
    scale = torch.logspace(-2, 3, 16)
    assert probe_auc(*states) == pytest.approx(probe_auc(*(one * scale for one in states)), abs=1e-3)


def test_the_area_of_known_scores() -> None:
    harmful, harmless = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0, 0.0])
    assert area_under_roc(harmful, harmless) == pytest.approx((3 + 1.5) / 6)
    assert area_under_roc(torch.ones(4), torch.ones(3)) == 0.5


def test_the_weights_minimise_the_penalised_error() -> None:
    states, labels = noise(5, 12).double(), torch.linspace(-1, 1, 12).double()
    weights = fit_ridge(states, labels).requires_grad_(True)
    penalty = states.square().sum(1).mean()
    error = (states @ weights - labels).square().sum() + penalty * weights.square().sum()
    (gradient,) = torch.autograd.grad(error, weights)
    assert gradient.abs().max() < 1e-9


def test_every_layer_of_every_architecture_is_probed(any_context: AttackContext) -> None:
    with ridge_probe(any_context, ONE) as attacked:
        by_layer = attacked.details["auc_by_layer"]
    assert list(by_layer) == ["0", "1"]
    assert all(0 <= auc <= 1 for auc in by_layer.values())
    assert attacked.details["auc"] == max(by_layer.values())


def test_the_states_are_those_of_the_variant(context: AttackContext, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def keep(*states: torch.Tensor) -> float:
        seen.append(states[0])
        return 0.5

    monkeypatch.setattr(probe, "probe_auc", keep)
    for variant in (BASE, ONE):
        with ridge_probe(context, variant):
            pass
    assert not torch.allclose(seen[0], seen[2], atol=1e-2)


def test_it_trains_on_attack_data_and_tests_on_measured_and_held_out_prompts(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []

    def read_prompts(_model: object, prompts: list[str], *_: object) -> torch.Tensor:
        read.append(set(prompts))
        return torch.randn(2, len(prompts), 4)

    monkeypatch.setattr(probe, "last_prompt_states", read_prompts)
    with ridge_probe(context, BASE):
        pass
    data = context.data
    wanted = (data.harmful, (*data.normal, *data.sounds_harmful), context.measured, data.held_out)
    assert read == [{pair.prompt for pair in pairs} for pairs in wanted]
    assert not (read[0] | read[1]) & (read[2] | read[3])


def test_the_bundled_controls_are_harmless_and_nothing_is_trained_on_them() -> None:
    data: AttackData = load_attack_data(attacked_prompts(AttackSources()))
    controls = {pair.prompt_id for pair in data.held_out}
    assert len(controls) > 100
    assert {pair.source for pair in data.held_out} == {"bundled", "sounds_harmful"}
    assert not any(pair.kind == "harmful" for pair in data.held_out)
    trained = (*data.harmful, *data.normal, *data.sounds_harmful, *data.examples)
    assert not controls & {pair.prompt_id for pair in trained}


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_cancelling_leaves_nothing_behind(context: AttackContext, calls: int) -> None:
    before, hooks = logits(context.model, ONE.coefficients), hooks_left(context.model)
    with pytest.raises(Cancelled), ridge_probe(dataclasses.replace(context, check=stop_at(calls)), ONE):
        pass
    assert torch.equal(logits(context.model, ONE.coefficients), before)
    assert hooks_left(context.model) == hooks
