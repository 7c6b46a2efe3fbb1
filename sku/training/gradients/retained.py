"""A penalty on outputs that normal answers use, as in ReGLU (arXiv:2604.17396)."""

from __future__ import annotations

from peft.tuners.lora import LoraLayer
from torch import Tensor

from sku.training.directions import leading_eigenvectors, moments_of_normal_outputs
from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added

RETAINED_SHARE = 1 / 8
"""The share of a layer's outputs that the subspace of normal answers has."""


def outside_retained_outputs(inputs: RuleInputs, weight: float) -> Rule:
    """The rule g_f + g_k + weight U U' B: the gradient of weight / 2 |U' B|^2 is added.

    The columns of U are the leading eigenvectors of E[y y'], where y are a layer's outputs on normal answers under the
    base.

    Args:
        inputs: gives the normal answers.
        weight: of the penalty. 0 is plain training.
    """
    names = list(inputs.trained_b)
    layers: list[LoraLayer] = [inputs.peft_model.get_submodule(name.partition(".lora_B.")[0]) for name in names]
    moments = moments_of_normal_outputs(inputs.peft_model, layers, inputs.batches, inputs.config)
    bases = {name: retained_subspace(moment) for name, moment in zip(names, moments, strict=True)}

    def combine(step: StepGradients) -> Gradients:
        whole = added(step.forget, step.keep)
        penalty = {}
        for name, subspace in bases.items():
            b = inputs.parameters[name].detach()
            columns = subspace.to(b)
            penalty[name] = weight * (columns @ (columns.T @ b))
        return whole | {name: whole[name] + term for name, term in penalty.items()}

    return combine


def retained_subspace(moments: Tensor) -> Tensor:
    """U: `[K, k]` with orthonormal columns, from E[y y'] `[K, K]`; k is `RETAINED_SHARE` of K, at least 1."""
    return leading_eigenvectors(moments, max(1, round(RETAINED_SHARE * len(moments)))).T
