"""What a loss may look at: the scored tokens of its rows, under the model in training and under the base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sku.core.config import TrainConfig


@dataclass(frozen=True)
class TermInputs:
    """The scored tokens of the rows of one term at one step, flat: `N` tokens of `R` rows."""

    logits: Tensor
    """`[N, V]` of the model in training."""
    targets: Tensor
    """`[N]`, the token that stands there."""
    rows: Tensor
    """`[N]`, the row that each token belongs to, numbered without gaps from its lowest."""
    base_logits: Tensor | None = None
    """`[N, V]` of the base, no gradient; given to terms with `needs_base_logits`."""
    hidden: Tensor | None = None
    """`[N, H]` last hidden states of the model in training; given to terms with `needs_hidden`."""
    base_hidden: Tensor | None = None
    """`[N, H]` of the base, no gradient; given to terms with `needs_hidden`."""

    def require_base_logits(self) -> Tensor:
        """`base_logits`.

        Raises:
            ValueError: if the term did not ask for them.
        """
        if self.base_logits is None:
            raise ValueError("this loss compares with the base; set needs_base_logits in its Term")
        return self.base_logits


TermLoss = Callable[[TermInputs, TrainConfig], Tensor]
"""One loss: a pure function of its inputs and the run's settings, to a scalar that is minimised."""
