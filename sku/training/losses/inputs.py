"""The inputs of a loss: the scored tokens of its rows, under the model in training and under the base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sku.core.config import TrainConfig


@dataclass(frozen=True)
class TermInputs:
    """The scored tokens of one term at one step, without padding: `N` tokens of `R` rows."""

    logits: Tensor
    """`[N, V]`, from the model in training; empty if no term of these rows has `needs_logits`."""
    targets: Tensor
    """`[N]`, the scored tokens."""
    rows: Tensor
    """`[N]`, the row of each token. The row numbers are in order and have no gaps, but need not start at 0."""
    base_logits: Tensor | None = None
    """`[N, V]`, from the base, without a gradient. Only terms with `needs_base_logits` get them."""
    hidden: Tensor | None = None
    """`[N, H]`, the last hidden states of the model in training. Only terms with `needs_hidden` get them."""
    base_hidden: Tensor | None = None
    """`[N, H]`, the last hidden states of the base, without a gradient. Only terms with `needs_hidden` get them."""

    other_logits: Tensor | None = None
    """`[N, V]`, from the base, for the same answers after another prompt, without a gradient. Only terms with
    `needs_other_prompt` get them."""
    at_levels: tuple[Tensor, ...] = ()
    """`[N, H]` for each level in `Term.hidden_at`, in order: hidden states of the model in training."""
    base_at_levels: tuple[Tensor, ...] = ()
    """The same of the base, without a gradient."""

    def require_base_logits(self) -> Tensor:
        """Return `base_logits`.

        Raises:
            ValueError: if the term does not set `needs_base_logits`.
        """
        if self.base_logits is None:
            raise ValueError("this loss compares with the base; set needs_base_logits in its Term")
        return self.base_logits

    def require_other_logits(self) -> Tensor:
        """Return `other_logits`.

        Raises:
            ValueError: if the term does not set `needs_other_prompt`.
        """
        if self.other_logits is None:
            raise ValueError("this loss reads the base after another prompt; set needs_other_prompt in its Term")
        return self.other_logits


TermLoss = Callable[[TermInputs, TrainConfig], Tensor]
"""A loss: a pure function of its inputs and the run's settings. It returns a scalar, which is minimised."""
