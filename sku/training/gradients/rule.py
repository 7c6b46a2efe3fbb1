"""The inputs and the type of a gradient rule, and arithmetic with gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sku.core.config import TrainConfig
from sku.training.term_batches import TermBatches

Gradients = dict[str, Tensor]
"""One tensor per trained parameter, by the parameter's name."""


@dataclass(frozen=True)
class RuleInputs:
    """What a rule may look at once, before the first step and whenever the run is resumed.

    The LoRA factors have their initial values then, so whatever a rule computes is the same after a resume.
    """

    peft_model: Any
    parameters: dict[str, torch.nn.Parameter]
    """The trained parameters by name."""
    batches: TermBatches
    config: TrainConfig

    @property
    def trained_b(self) -> dict[str, torch.nn.Parameter]:
        """The trained B factors by name.

        Raises:
            ValueError: if no B factor is trained.
        """
        found = {name: p for name, p in self.parameters.items() if ".lora_B." in name}
        if not found:
            raise ValueError(
                f"gradient {self.config.gradient_rule.name} selects entries of B, but method {self.config.method} "
                "trains only A; choose another gradient"
            )
        return found


@dataclass(frozen=True)
class StepGradients:
    """The gradients of one step, weighted as in the loss."""

    forget: Gradients
    """Of the terms that forget."""
    keep: Gradients
    """Of the terms that keep normal behaviour (`Term.keeps`); zeros if the method has none."""
    forget_here: Callable[[], Gradients]
    """Computes the forget gradient again, on the same rows, at the parameters' present values."""


Rule = Callable[[StepGradients], Gradients]
"""A function that makes the gradient of a step. It must leave the parameters as they were."""
MakeRule = Callable[[RuleInputs, float], Rule]
"""A function that makes a rule from the run and the number in its `gradient` setting. It may only depend on data, seed
and settings, so that a resumed run gets the same rule."""


def added(left: Gradients, right: Gradients) -> Gradients:
    """The sum."""
    return {name: left[name] + right[name] for name in left}


def dot(left: Gradients, right: Gradients) -> Tensor:
    """The inner product over all parameters, in float64: a scalar."""
    return torch.stack([(left[name].double() * right[name].double()).sum() for name in left]).sum()


def norm(gradients: Gradients) -> Tensor:
    """The length over all parameters, in float64: a scalar."""
    return dot(gradients, gradients).sqrt()
