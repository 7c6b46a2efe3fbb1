"""Hold the KL from base on normal answers at a budget, by changing the weight of the term that keeps it low.

A fixed weight gives each method another KL, so that methods cannot be compared at the same cost. Here the weight is the
dual variable of the constraint KL <= budget, and follows it by dual ascent (as in primal-dual unlearning, PDU,
arXiv:2506.05314).
"""

from __future__ import annotations

from collections.abc import Mapping

from sku.core.config import TrainConfig

LOWEST, HIGHEST = 0.4, 3.0
"""Bounds of the factor. A step has few normal answers, and one unusual step must not switch the term off."""


class KlBudget:
    """The weights of the terms of one run. Without a budget they never change."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.factor = 1.0
        """The weight of the KL terms is their weight in the settings times this."""

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term at this step."""
        changing = self.config.kl_terms if self.config.kl_budget is not None else ()
        return {name: w * (self.factor if name in changing else 1.0) for name, w in self.config.terms.items()}

    def update(self, terms: Mapping[str, float]) -> None:
        """Raise or lower the factor after a step by how far the KL was above or below the budget.

        Args:
            terms: the value of every term in the step, the mean over processes.
        """
        if self.config.kl_budget is None:
            return
        excess = sum(terms[name] for name in self.config.kl_terms) - self.config.kl_budget
        self.factor = min(HIGHEST, max(LOWEST, self.factor + excess))
