"""Projection with a Fisher penalty, as in SUV (arXiv:2503.22948): weights that matter for normal answers move less."""

from __future__ import annotations

import torch

from sku.training.gradients.answer_gradients import mean_squared_gradient
from sku.training.gradients.projection import without_conflict
from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added


def projected_with_fisher(inputs: RuleInputs, weight: float) -> Rule:
    """The rule g_f' + g_k + weight F B: the projected gradients, and the gradient of weight / 2 sum F B^2.

    F is the diagonal of the empirical Fisher information of B on normal answers at the base, divided by its mean.

    Args:
        inputs: gives the normal answers.
        weight: of the penalty. 0 is projection alone.
    """
    fisher = _divided_by_mean(mean_squared_gradient(inputs, "normal"))

    def combine(step: StepGradients) -> Gradients:
        gradient = added(without_conflict(step.forget, step.keep), step.keep)
        penalty = {name: weight * importance * inputs.parameters[name].detach() for name, importance in fisher.items()}
        return gradient | {name: gradient[name] + term for name, term in penalty.items()}

    return combine


def _divided_by_mean(values: Gradients) -> Gradients:
    mean = float(torch.cat([value.flatten() for value in values.values()]).double().mean())
    return {name: value / mean if mean else value for name, value in values.items()}
