"""The forward and backward pass of a step: one backward of the sum, or two gradients that a rule makes into one."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from sku.core.gradients import GRADIENTS
from sku.core.terms import TERMS
from sku.training.gradients.rule import Gradients, MakeRule, Rule, RuleInputs, StepGradients
from sku.training.objective import Objective
from sku.training.term_batches import TermRows, TermStream

Drawn = dict[TermStream, TermRows]
_WHOLE_PARAMETERS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
"""The ways of training in which every process holds every parameter whole."""


class GradientStep(Protocol):
    """How the trainer gets the terms and the gradient of a step."""

    def forward(self, wrapped: Any, drawn: Drawn) -> tuple[dict[str, Tensor], int]:
        """The terms of the step and its number of tokens, as `Objective.forward` returns them.

        Args:
            wrapped: the objective, as `Accelerator.prepare` returned it.
            drawn: the rows of the step.
        """

    def backward(self, total: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> None:
        """Set the gradient of every trained parameter.

        Args:
            total: the weighted sum of the terms.
            terms: what `forward` returned.
            weights: the weight of each term in the sum.
        """


def gradient_step(objective: Objective, inputs: RuleInputs, accelerator: Accelerator) -> GradientStep:
    """How the run computes its gradients. The LoRA factors must have their initial values.

    Raises:
        ValueError: if the rule needs terms that the method does not have, or cannot be used with sharded parameters.
    """
    name, number = inputs.config.gradient_rule
    record = GRADIENTS[name]
    if record.rule is None:
        return OneGradient(accelerator)
    if record.needs_keeping and not any(TERMS[term].keeps for term in inputs.config.terms):
        raise ValueError(
            f"gradient {name} needs a term that keeps normal behaviour, but {inputs.config.method} has only "
            f"{', '.join(inputs.config.terms)}; choose another gradient or method"
        )
    if accelerator.distributed_type not in _WHOLE_PARAMETERS:
        raise ValueError(f"gradient {name} needs whole parameters; train without FSDP, or with gradient=sum")
    make: MakeRule = resolve_name(f"sku.training.gradients.{record.rule}")
    return TwoGradients(objective, inputs.parameters, make(inputs, number), accelerator)


class OneGradient:
    """Plain training: one forward of all rows and one backward of the sum."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def forward(self, wrapped: Any, drawn: Drawn) -> tuple[dict[str, Tensor], int]:
        """All terms in one forward."""
        terms, tokens = wrapped(drawn)
        return terms, tokens

    def backward(self, total: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> None:
        """The gradient of the sum."""
        self._accelerator.backward(total)


class TwoGradients:
    """The forgetting and the keeping terms run apart, so that two backward passes cost as much as one.

    Every process averages both gradients over the processes before the rule is applied. So the objective is run without
    the data-parallel wrapper, which would average only once, after a single backward.
    """

    def __init__(
        self, objective: Objective, parameters: dict[str, torch.nn.Parameter], rule: Rule, accelerator: Accelerator
    ) -> None:
        self._objective, self._parameters, self._rule, self._accelerator = objective, parameters, rule, accelerator
        self._forget = [name for name in objective.config.terms if not TERMS[name].keeps]
        self._keep = [name for name in objective.config.terms if TERMS[name].keeps]
        self._drawn: Drawn = {}

    def forward(self, wrapped: Any, drawn: Drawn) -> tuple[dict[str, Tensor], int]:
        """The forgetting terms, then the keeping terms, each in a forward of its own."""
        self._drawn = drawn
        parts = [self._run(names) for names in (self._forget, self._keep)]
        return parts[0][0] | parts[1][0], sum(tokens for _, tokens in parts)

    def backward(self, total: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> None:
        """The gradient that the rule makes."""

        def forget_here() -> Gradients:
            return self._gradients(self._run(self._forget)[0], weights, self._forget)

        step = StepGradients(
            self._gradients(terms, weights, self._forget), self._gradients(terms, weights, self._keep), forget_here
        )
        for name, gradient in self._rule(step).items():
            self._parameters[name].grad = gradient.to(self._parameters[name].dtype)

    def _rows(self, names: list[str]) -> Drawn:
        streams = {TermStream.of(name) for name in names}
        return {stream: rows for stream, rows in self._drawn.items() if stream in streams}

    def _run(self, names: list[str]) -> tuple[dict[str, Tensor], int]:
        if not names:
            return {}, 0
        terms, tokens = self._objective(self._rows(names))
        return {name: terms[name] for name in names}, tokens

    def _gradients(self, terms: Mapping[str, Tensor], weights: Mapping[str, float], names: list[str]) -> Gradients:
        """The gradient of the weighted sum of the named terms, averaged over the processes."""
        if not names:
            return {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        self._objective.set_coefficients(self._rows(names))  # gradient checkpointing runs the layers again
        loss = torch.stack([weights[name] * terms[name] for name in names]).sum()
        parameters = list(self._parameters.values())
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        averaged: Gradients = self._accelerator.reduce(dict(zip(self._parameters, found, strict=True)), "mean")
        return averaged
