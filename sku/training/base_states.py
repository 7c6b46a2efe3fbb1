"""Hidden states of the base on the rows of a training, computed once per row and kept (`state_cache.py`).

They are of two sorts: the states below the first adapted block, which the base and the model in training share, and
those that a loss compares with. Every row is computed alone, so that its states do not depend on the other rows of its
step: then a resumed run gets the same states, whether they come from the cache or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sku.models.batching import EncodedPair
from sku.models.partial_forward import PartialForward
from sku.models.shared_tokens import lay_out
from sku.models.variant_model import fingerprint
from sku.training.state_cache import StateCache


class BaseStates:
    """The base's hidden states by row and level. Level n is after the first n blocks (`PartialForward`)."""

    def __init__(self, peft_model: Any, partial: PartialForward, shared_level: int, cache: StateCache) -> None:
        """Prepare.

        Args:
            peft_model: its adapter is off while the base runs.
            partial: runs the blocks of the same network.
            shared_level: the number of blocks below the first adapted one; 0 if there are none.
            cache: keeps the states.
        """
        self.peft_model, self.partial, self.shared_level, self.cache = peft_model, partial, shared_level, cache
        weight = partial.network.get_input_embeddings().weight
        self._base = f"{fingerprint(partial.network)} {weight.dtype}"

    def below(self, row: EncodedPair) -> Tensor:
        """The states `[T, H]` of all tokens of a row at the shared level, on the CPU."""
        return self._states(row, {self.shared_level})[self.shared_level]

    def predicting(self, row: EncodedPair, levels: Collection[int]) -> dict[int, Tensor]:
        """The states `[N, H]` that predict each answer token of a row, by level, on the CPU."""
        return self._states(row, levels)

    def _states(self, row: EncodedPair, levels: Collection[int]) -> dict[int, Tensor]:
        found = {level: self.cache.get(self._key(row, level)) for level in levels}
        if missing := [level for level, states in found.items() if states is None]:
            found |= self._compute(row, missing)
        return {level: states for level, states in found.items() if states is not None}

    @torch.no_grad()
    def _compute(self, row: EncodedPair, levels: Collection[int]) -> dict[int, Tensor]:
        """Run one row of the base, from the shared level if that is known."""
        start, given = self.shared_level, None
        device = self.partial.network.get_input_embeddings().weight.device
        if start and start not in levels:
            given = self.below(row)[None].to(device)
        with self.peft_model.disable_adapter(), _without_dropout(self.partial.network):
            layout = lay_out([row.ids], [()], shared=False, device=device)
            states = self.partial.run(layout, levels, start if given is not None else 0, given)
        return {
            level: self.cache.put(self._key(row, level), hidden[0, self._span(row, level)])
            for level, hidden in states.items()
        }

    def _span(self, row: EncodedPair, level: int) -> slice:
        """The tokens whose states are kept: all at the shared level, else those that predict an answer token."""
        return slice(None) if level == self.shared_level else slice(row.prompt_tokens - 1, len(row.ids) - 1)

    def _key(self, row: EncodedPair, level: int) -> str:
        text = f"{self._base} {level} {self._span(row, level)} {row.ids}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def _without_dropout(network: Any) -> Iterator[None]:
    """Gradient checkpointing needs training mode, in which some models have dropout; the base must not."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
