"""Gradient rules as arithmetic: what they change, what they leave alone, and when they are plain training."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from sku.core.gradients import GRADIENTS, parse_gradient
from sku.training.gradients.attribution import attribution_scores, top_entries
from sku.training.gradients.projection import without_conflict
from sku.training.gradients.regions import located_modules, top_layers
from sku.training.gradients.rule import Gradients, RuleInputs, StepGradients, dot
from sku.training.gradients.saliency import saliency_mask
from sku.training.gradients.sam import sharpness_aware
from sku.training.optimizers import Sophia


def of(*values: float) -> Gradients:
    return {str(i): torch.tensor([value]) for i, value in enumerate(values)}


def values(gradients: Gradients) -> list[float]:
    return [float(g) for g in gradients.values()]


@pytest.mark.parametrize("keep", [(0.0, 2.0), (3.0, 1.0), (0.0, 0.0), (-1e-7, 0.0)])
def test_projection_changes_nothing_where_the_gradients_do_not_conflict(keep: tuple[float, float]) -> None:
    assert values(without_conflict(of(1.0, 0.0), of(*keep))) == [1.0, 0.0]


def test_projection_removes_the_conflict_and_nothing_else() -> None:
    forget, keep = of(1.0, -3.0), of(0.0, 2.0)
    assert values(without_conflict(forget, keep)) == [1.0, 0.0]
    assert values(without_conflict(forget, keep, 0.5)) == [1.0, -1.5]
    assert values(without_conflict(forget, keep, 0.0)) == [1.0, -3.0]
    assert float(dot(without_conflict(of(1.0, -2.0), of(1.0, 3.0)), of(1.0, 3.0))) == pytest.approx(0.0, abs=1e-6)


def test_a_salient_entry_is_a_standard_deviation_above_the_mean() -> None:
    gradient = torch.tensor([1.0, -1.0, 1.0, -5.0])  # |g| has mean 2 and standard deviation 1.73
    assert saliency_mask(gradient, 1.0).tolist() == [0, 0, 0, 1]
    assert saliency_mask(gradient, 2.0).tolist() == [0, 0, 0, 0]
    assert saliency_mask(gradient, -1000.0).tolist() == [1, 1, 1, 1], "no threshold is plain training"


def test_attribution_is_high_where_harmful_answers_need_a_weight() -> None:
    weights, harmful, normal = of(2.0, 2.0, -2.0), of(1.0, 0.0, 1.0), of(0.5, 0.5, 0.5)
    # gamma = 0.5 / 2, so the scores are |(2 - 2) * 1|, |(2 - 2) * 0| and |(-2 - 2) * 1|
    scores = attribution_scores(weights, harmful, normal)
    assert values(scores) == pytest.approx([0.0, 0.0, 4.0])
    assert values(top_entries(scores, 1 / 3)) == [0, 0, 1]
    assert values(top_entries(scores, 1.0)) == [1, 1, 1], "a share of 1 is plain training"
    assert values(top_entries(scores, 0.0)) == [0, 0, 0]


def test_modules_are_located_where_gradients_are_large_and_point_apart() -> None:
    harmful = {"alike": torch.tensor([1.0, 0.0]), "apart": torch.tensor([1.0, 1.0]), "small": torch.tensor([0.0, 0.1])}
    normal = {"alike": torch.tensor([1.0, 0.1]), "apart": torch.tensor([-1.0, 1.0]), "small": torch.tensor([1.0, 0.0])}
    assert located_modules(harmful, normal, 0.92) == {"apart"}
    assert located_modules(harmful, normal, 1.0, large=0.0) == {"alike", "apart", "small"}, "plain training"


@pytest.mark.parametrize(("share", "chosen"), [(0.0, [2]), (0.25, [2]), (0.5, [2, 0]), (1.0, [2, 0, 1, 3])])
def test_toxic_layers_have_the_highest_scores(share: float, chosen: list[int]) -> None:
    assert top_layers({0: 2.0, 1: 1.0, 2: 5.0, 3: 1.0}, share) == chosen


@pytest.mark.parametrize("radius", [0.0, 0.1])
def test_sam_takes_the_gradient_up_the_hill_and_comes_back(radius: float) -> None:
    """Of the loss |theta|^2 / 2 the gradient is theta, so a move of rho along it makes the gradient longer by rho."""
    parameters = {"a": nn.Parameter(torch.tensor([3.0])), "b": nn.Parameter(torch.tensor([4.0]))}
    before = {name: p.detach().clone() for name, p in parameters.items()}

    def forget_here() -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in parameters.items()}

    inputs = cast(RuleInputs, type("Inputs", (), {"parameters": parameters}))
    keep = {"a": torch.tensor([1.0]), "b": torch.tensor([0.0])}
    found = sharpness_aware(inputs, radius)(StepGradients(forget_here(), keep, forget_here))
    assert values(found) == pytest.approx([3 * (1 + radius / 5) + 1, 4 * (1 + radius / 5)])
    assert all(torch.equal(parameters[name], before[name]) for name in before), "bit for bit"


@pytest.mark.parametrize("setting", ["sam@-1", "projection@2", "sum@1", "nosuch", "saliency@x", "layers@nan"])
def test_a_bad_gradient_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=r"gradient '.*(known; choose one of|must be a number from|takes none)"):
        parse_gradient(setting)


def test_a_gradient_setting_has_a_default_number() -> None:
    assert parse_gradient("sam") == ("sam", 0.01)
    assert parse_gradient("sam@0.05") == ("sam", 0.05)
    for record in GRADIENTS.values():
        assert record.low <= record.default <= record.high


def stepped(gradients: list[float], **settings: Any) -> list[float]:
    parameter = nn.Parameter(torch.zeros(len(gradients)))
    parameter.grad = torch.tensor(gradients)
    Sophia([parameter], lr=0.1, **settings).step()
    return parameter.detach().tolist()


def test_no_step_of_sophia_is_longer_than_the_learning_rate() -> None:
    assert stepped([1e-6, -1e-6, 1e6, 0.0]) == pytest.approx([-0.1, 0.1, -0.0, 0.0], abs=1e-6)


def test_a_step_of_sophia_is_gradient_over_curvature() -> None:
    # mean 0.1 * 2, curvature 0.5 * 4, scale 4: 0.2 / 8
    assert stepped([2.0], betas=(0.9, 0.5), scale=4.0) == pytest.approx([-0.1 * 0.2 / 8])
