"""Gradient projection: forgetting must not undo what the keeping terms want."""

from __future__ import annotations

from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added, dot

NEGLIGIBLE = 1e-5
"""A keep gradient of less than this times the forget gradient's length is taken for rounding errors. At the base the KL
has no gradient, and rounding alone would decide which direction is removed."""


def projected(inputs: RuleInputs, share: float) -> Rule:
    """The rule g_f' + g_k, where g_f' is the forget gradient without its part against the keep gradient g_k."""

    def combine(step: StepGradients) -> Gradients:
        return added(without_conflict(step.forget, step.keep, share), step.keep)

    return combine


def without_conflict(forget: Gradients, keep: Gradients, share: float = 1.0) -> Gradients:
    """The forget gradient minus `share` of its component along the keep gradient, if the two conflict.

    They conflict if their inner product over all parameters is negative: a step that forgets would then raise the
    keeping terms. A negligible keep gradient never conflicts.
    """
    product, square = float(dot(forget, keep)), float(dot(keep, keep))
    if product >= 0 or square <= NEGLIGIBLE**2 * float(dot(forget, forget)):
        return forget
    return {name: forget[name] - share * product / square * keep[name] for name in forget}
