"""The optimiser of a run: AdamW, or Sophia, whose state is saved in the checkpoint in the same way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sku.core.config import TrainConfig
from sku.core.methods import METHODS

CURVATURE_SCALE = 400.0
"""Sophia divides by this times the curvature. With gradients of norm 1 over the two million factors of the default
adapter, about half of all steps are then clipped."""


def make_optimizer(parameters: Iterable[torch.nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser that the run's setting, or else its method, names."""
    name = config.optimizer or METHODS[config.method].optimizer
    if name == "sophia":
        return Sophia(parameters, config.learning_rate, config.weight_decay)
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


class Sophia(torch.optim.Optimizer):
    """Sophia (arXiv:2305.14342), the second-order optimiser of SOUL (arXiv:2404.18239).

    Each entry moves by rate * clip(m / (scale * h), -1, 1), where m is the running mean of the gradient and h that of
    the curvature. No entry moves further than the learning rate. Here the curvature is the squared gradient of the step
    (the empirical Fisher information); Sophia-G draws labels from the model for it, in an extra pass every ten steps.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.965, 0.99),
        scale: float = CURVATURE_SCALE,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "scale": scale})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient. A closure is not supported."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"mean": torch.zeros_like(parameter), "curvature": torch.zeros_like(parameter)}
        first, second = group["betas"]
        mean = state["mean"].lerp_(gradient, 1 - first)
        curvature = state["curvature"].lerp_(gradient.square(), 1 - second)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        ratio = mean / (group["scale"] * curvature).clamp_min(1e-15)
        parameter.add_(ratio.clamp_(-1, 1), alpha=-group["lr"])
