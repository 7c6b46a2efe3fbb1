"""Weight attribution, as in WAGLE (arXiv:2410.17509): change only what harmful answers need and normal ones do not.

WAGLE scores the base's weights theta: |(theta - g_n / gamma) g_h|, with g_h and g_n the gradients of harmful and normal
answers. An entry of B is a coordinate of the change of a base matrix W: row i of W moves along row k of A. So theta is
here the coordinate of W's row i along A's row k, and the gradients are those with respect to that coordinate.
"""

from __future__ import annotations

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from sku.training.gradients.answer_gradients import mean_gradient
from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added


def attributed_entries(inputs: RuleInputs, share: float) -> Rule:
    """The rule m (g_f + g_k), with m 1 on the `share` of B's entries that score highest, and on all of A."""
    harmful, normal = mean_gradient(inputs, "harmful"), mean_gradient(inputs, "normal")
    masks = top_entries(attribution_scores(_coordinates(inputs), harmful, normal), share)

    def combine(step: StepGradients) -> Gradients:
        whole = added(step.forget, step.keep)
        return whole | {name: whole[name] * mask for name, mask in masks.items()}

    return combine


def attribution_scores(weights: Gradients, harmful: Gradients, normal: Gradients) -> Gradients:
    """|(theta - g_n / gamma) g_h| of every entry.

    gamma is the mean size of g_n over the mean size of theta, so that both parts of the score count alike.
    """
    size = _mean_size(weights)
    gamma = _mean_size(normal) / size if size else 1.0
    return {name: ((weights[name] - normal[name] / (gamma or 1.0)) * harmful[name]).abs() for name in weights}


def top_entries(scores: Gradients, share: float) -> Gradients:
    """Masks that are 1.0 on the `share` of all entries with the highest scores, and 0.0 elsewhere."""
    every = torch.cat([score.flatten() for score in scores.values()])
    dropped = len(every) - round(share * len(every))
    if dropped == len(every):
        return {name: torch.zeros_like(score) for name, score in scores.items()}
    bound = every.kthvalue(dropped + 1).values
    return {name: (score >= bound).to(score.dtype) for name, score in scores.items()}


@torch.no_grad()
def _coordinates(inputs: RuleInputs) -> Gradients:
    """For each trained B, the coordinates of the base's rows along the rows of A, `[out, rank]`."""
    found = {}
    for name in inputs.trained_b:
        layer = inputs.peft_model.get_submodule(name.partition(".lora_B.")[0])
        found[name] = _rows_along(layer)
    return found


def _rows_along(layer: LoraLayer) -> Tensor:
    a = layer.lora_A["default"].weight.float()  # (rank, in)
    base = layer.get_base_layer().weight.float()  # (out, in)
    coordinates: Tensor = base @ a.T / a.square().sum(1)
    return coordinates


def _mean_size(values: Gradients) -> float:
    return float(torch.cat([value.flatten() for value in values.values()]).abs().double().mean())
