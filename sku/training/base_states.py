"""Hidden states of the base on the rows of a training, computed once per row and kept (`state_cache.py`).

They are of two sorts: the states below the first adapted block, which the base and the model in training share, and
those that a loss compares with. The states of a row do not depend on the other rows of its step, not even in the last
bit: rows run together only with rows of the same padded width, and each matrix product takes one row at a time, while
the weights are still in the processor's cache. So a resumed run gets the same states, whether they are kept or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.cache_utils import DynamicCache

from sku.models.batching import EncodedPair
from sku.models.partial_forward import PartialForward
from sku.models.prefix_cache import copy_cache_rows
from sku.models.shared_tokens import lay_out
from sku.models.variant_model import fingerprint
from sku.training.state_cache import StateCache

WIDTH_MULTIPLE = 16
"""Rows are padded to a multiple of this many tokens."""


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

    def below(self, rows: Sequence[EncodedPair]) -> list[Tensor]:
        """The states `[T, H]` of all tokens of each row at the shared level, on the CPU."""
        return [states[self.shared_level] for states in self._states(rows, {self.shared_level})]

    def predicting(self, rows: Sequence[EncodedPair], levels: Collection[int]) -> list[dict[int, Tensor]]:
        """The states `[N, H]` that predict each answer token of each row, by level, on the CPU."""
        return self._states(rows, levels)

    def _states(self, rows: Sequence[EncodedPair], levels: Collection[int]) -> list[dict[int, Tensor]]:
        found: dict[EncodedPair, dict[int, Tensor]] = {}
        groups: dict[tuple[bool, int, tuple[int, ...]], list[EncodedPair]] = {}
        for row in dict.fromkeys(rows):
            kept = {level: self.cache.get(self._key(row, level)) for level in levels}
            found[row] = {level: states for level, states in kept.items() if states is not None}
            if missing := tuple(sorted(set(levels) - set(found[row]))):
                begins = self._begins_with_prefix(row)
                tokens = len(row.ids) - (len(self._prefix) if begins else 0)
                groups.setdefault((begins, -(-tokens // WIDTH_MULTIPLE), missing), []).append(row)
        for (begins, _, missing), group in groups.items():
            for row, states in zip(group, self._compute(group, missing, begins), strict=True):
                found[row] |= states
        return [found[row] for row in rows]

    @torch.no_grad()
    def _compute(
        self, rows: Sequence[EncodedPair], levels: Collection[int], begin_with_prefix: bool
    ) -> list[dict[int, Tensor]]:
        """Run rows of the same padded width through the base, from the shared level if that is known."""
        known = self.shared_level > 0 and self.shared_level not in levels
        below = self.below(rows) if known else None
        with self.peft_model.disable_adapter(), _without_dropout(self.partial.network):
            prefix = self._read_prefix() if begin_with_prefix else _NO_PREFIX
            states = self._run([row.ids[prefix.tokens :] for row in rows], levels, below, prefix)
        return [
            {level: self._keep(row, level, hidden[number], prefix) for level, hidden in states.items()}
            for number, row in enumerate(rows)
        ]

    def _keep(self, row: EncodedPair, level: int, hidden: Tensor, prefix: _Prefix) -> Tensor:
        """Put the states of one row into the cache, from those of its tokens after the prefix, padded."""
        own = hidden[: len(row.ids) - prefix.tokens]
        if level != self.shared_level:
            own = own[row.prompt_tokens - 1 - prefix.tokens : -1]
        elif prefix.below is not None:
            own = torch.cat([prefix.below, own])
        return self.cache.put(self._key(row, level), own)

    def _run(
        self, rows: Sequence[Sequence[int]], levels: Collection[int], below: Sequence[Tensor] | None, prefix: _Prefix
    ) -> dict[int, Tensor]:
        """The states `[R, T, H]` of tokens that follow the prefix."""
        layout = lay_out(rows, rows, shared=False, device=self._device, width_multiple=WIDTH_MULTIPLE)
        given = None
        if below is not None:
            given = layout.gather([states[prefix.tokens :].to(self._device) for states in below])
        cache = None
        if prefix.cache is not None:
            cache = copy_cache_rows(prefix.cache, torch.zeros(len(rows), dtype=torch.long, device=self._device))
        with _row_by_row(self.partial.blocks, layout.places.shape[1]):
            return self.partial.run(layout, levels, 0 if given is None else self.shared_level, given, cache)

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
def _row_by_row(blocks: Sequence[nn.Module], width: int) -> Iterator[None]:
    """Let the linear layers of `blocks` multiply `width` tokens, one row, at a time.

    The library rounds a product of many rows in another way than that of one. Layers with rounded weights, and layers
    that accelerate has put on several devices, multiply as they do.
    """
    layers = [
        layer for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear) and _is_plain(layer)
    ]
    for layer in layers:
        layer.forward = partial(_linear_of_each_row, layer, width)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _is_plain(layer: nn.Linear) -> bool:
    return layer.weight.is_floating_point() and "forward" not in vars(layer)


def _linear_of_each_row(layer: nn.Linear, width: int, x: Tensor) -> Tensor:
    rows = x.reshape(-1, width, x.shape[-1])
    return torch.stack([linear(row, layer.weight, layer.bias) for row in rows]).view(*x.shape[:-1], -1)


@contextmanager
def _without_dropout(network: Any) -> Iterator[None]:
    """Gradient checkpointing needs training mode, in which some models have dropout; the base must not."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
