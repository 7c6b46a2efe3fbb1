"""Hidden states of the base on the rows of a training, computed once per row and kept (`state_cache.py`).

They are of two sorts: the states below the first adapted block, which the base and the model in training share, and
those that a loss compares with. Every row is computed alone, so that its states do not depend on the other rows of its
step: then a resumed run gets the same states, whether they come from the cache or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from sku.models.batching import EncodedPair
from sku.models.partial_forward import PartialForward
from sku.models.prefix_cache import copy_cache_rows
from sku.models.shared_tokens import lay_out
from sku.models.variant_model import fingerprint
from sku.training.state_cache import StateCache


class _Prefix(NamedTuple):
    """Tokens that many rows begin with, read once."""

    tokens: int
    cache: DynamicCache | None
    """Their keys and values, one row."""
    below: Tensor | None
    """Their hidden states `[tokens, H]` at the shared level, if there is one."""


_NO_PREFIX = _Prefix(0, None, None)


class BaseStates:
    """The base's hidden states by row and level. Level n is after the first n blocks (`PartialForward`)."""

    def __init__(
        self,
        peft_model: Any,
        partial: PartialForward,
        shared_level: int,
        cache: StateCache,
        prefix: Sequence[int] = (),
    ) -> None:
        """Prepare.

        Args:
            peft_model: its adapter is off while the base runs.
            partial: runs the blocks of the same network.
            shared_level: the number of blocks below the first adapted one; 0 if there are none.
            cache: keeps the states.
            prefix: the first tokens of the chat template. Their keys and values are computed once.
        """
        self.peft_model, self.partial, self.shared_level, self.cache = peft_model, partial, shared_level, cache
        weight = partial.network.get_input_embeddings().weight
        self._base = f"{fingerprint(partial.network)} {weight.dtype}"
        self._prefix = tuple(prefix)
        self._prefix_read: _Prefix | None = None

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
        known = self.shared_level > 0 and self.shared_level not in levels
        below = self.below(row) if known else None
        with self.peft_model.disable_adapter(), _without_dropout(self.partial.network):
            prefix = self._read_prefix() if self._begins_with_prefix(row) else _NO_PREFIX
            states = self._run(row.ids[prefix.tokens :], levels, below, prefix)
        for level, hidden in states.items():
            kept = hidden[row.prompt_tokens - 1 - prefix.tokens : len(row.ids) - 1 - prefix.tokens]
            if level == self.shared_level:
                kept = hidden if prefix.below is None else torch.cat([prefix.below, hidden])
            states[level] = self.cache.put(self._key(row, level), kept)
        return states

    def _run(
        self, ids: Sequence[int], levels: Collection[int], below: Tensor | None, prefix: _Prefix
    ) -> dict[int, Tensor]:
        """The states `[T, H]` of tokens that follow the prefix."""
        layout = lay_out([ids], [()], shared=False, device=self._device)
        given = None if below is None else below[prefix.tokens :][None].to(self._device)
        cache = None if prefix.cache is None else copy_cache_rows(prefix.cache, torch.tensor([0], device=self._device))
        start = 0 if given is None else self.shared_level
        return {level: states[0] for level, states in self.partial.run(layout, levels, start, given, cache).items()}

    def _begins_with_prefix(self, row: EncodedPair) -> bool:
        tokens = len(self._prefix)
        return 0 < tokens < row.prompt_tokens and row.ids[:tokens] == self._prefix

    def _read_prefix(self) -> _Prefix:
        if self._prefix_read is None:
            cache = DynamicCache(config=self.partial.network.config)
            layout = lay_out([self._prefix], [()], shared=False, device=self._device)
            states = self.partial.run(layout, {self.shared_level or 1, self.partial.depth}, cache=cache)
            below = states[self.shared_level][0] if self.shared_level else None
            self._prefix_read = _Prefix(len(self._prefix), cache, below)
        return self._prefix_read

    def _span(self, row: EncodedPair, level: int) -> slice:
        """The tokens whose states are kept: all at the shared level, else those that predict an answer token."""
        return slice(None) if level == self.shared_level else slice(row.prompt_tokens - 1, len(row.ids) - 1)

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.partial.network.get_input_embeddings().weight.device
        return device

    def _key(self, row: EncodedPair, level: int) -> str:
        prefix = self._begins_with_prefix(row)  # it changes how the last bit is rounded
        text = f"{self._base} {level} {self._span(row, level)} {prefix} {row.ids}"
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
