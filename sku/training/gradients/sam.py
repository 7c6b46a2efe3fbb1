"""Sharpness-aware forgetting (arXiv:2502.05374): forget where a small change of the weights would undo it most."""

from __future__ import annotations

import torch

from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added, norm


def sharpness_aware(inputs: RuleInputs, radius: float) -> Rule:
    """The rule g_f(theta + rho g_f / |g_f|) + g_k(theta), with g_f the forget and g_k the keep gradient.

    Args:
        inputs: gives the trained parameters.
        radius: rho, the length of the move in the space of all trained LoRA factors. 0 is plain training.
    """

    def combine(step: StepGradients) -> Gradients:
        length = float(norm(step.forget))
        if radius == 0 or length == 0:
            return added(step.forget, step.keep)
        before = {name: p.detach().clone() for name, p in inputs.parameters.items()}
        try:
            with torch.no_grad():
                for name, parameter in inputs.parameters.items():
                    parameter.add_(step.forget[name], alpha=radius / length)
            forget = step.forget_here()
        finally:
            with torch.no_grad():
                for name, parameter in inputs.parameters.items():
                    parameter.copy_(before[name])  # subtracting the move would leave rounding errors
        return added(forget, step.keep)

    return combine
