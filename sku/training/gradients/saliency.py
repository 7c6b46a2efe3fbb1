"""Saliency masks, as in SSU (arXiv:2406.10952): only entries with a large gradient change."""

from __future__ import annotations

from torch import Tensor

from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added


def salient_entries(inputs: RuleInputs, deviations: float) -> Rule:
    """The rule m (g_f + g_k), with m 1 where the forget gradient g_f is large within its matrix, and 0 elsewhere.

    Args:
        inputs: not needed; the mask is made anew at every step.
        deviations: how many standard deviations above the mean of a matrix an entry must be. A large negative number
            is plain training.
    """

    def combine(step: StepGradients) -> Gradients:
        whole = added(step.forget, step.keep)
        return {name: whole[name] * saliency_mask(step.forget[name], deviations) for name in whole}

    return combine


def saliency_mask(gradient: Tensor, deviations: float) -> Tensor:
    """1.0 where |g| >= mean |g| + deviations * standard deviation of |g|, and 0.0 elsewhere. It has the shape of g."""
    size = gradient.abs()
    return (size >= size.mean() + deviations * size.std(correction=0)).to(gradient.dtype)
