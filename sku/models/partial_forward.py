"""Run only some decoder blocks of a network: start from known hidden states, and stop after the last wanted block.

A network reads its blocks in its own loop, which differs between architectures. So the loop runs as it is, and the
blocks that are left out are given a forward function that costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from sku.models.decoder_blocks import decoder_blocks, hidden_states_of
from sku.models.shared_tokens import RowLayout


class PartialForward:
    """Forward passes through some of the blocks of one network."""

    def __init__(self, network: Any) -> None:
        """Prepare; `network` stays as it is between passes."""
        self.network = network
        self.blocks = decoder_blocks(network)
        self._blocks_return_tuples = self._try_block()

    @property
    def depth(self) -> int:
        """The number of blocks. As a level it means the last hidden states, after the final norm."""
        return len(self.blocks)

    def run(
        self,
        layout: RowLayout,
        levels: Collection[int],
        start: int = 0,
        given: Tensor | None = None,
        cache: DynamicCache | None = None,
    ) -> dict[int, Tensor]:
        """The hidden states of a batch at several levels. Level n is after the first n blocks.

        Args:
            layout: the tokens of the batch.
            levels: the wanted levels, above `start`.
            start: the blocks below this number do not run.
            given: with a `start` above 0, the hidden states `[B, T, H]` at that level.
            cache: keys and values of earlier tokens of the rows, in all blocks that run; it gets those of the batch.

        Returns:
            Maps each level to hidden states `[B, T, H]`.

        Raises:
            ValueError: if a level is not above `start`, or the network has no such level.
        """
        if not levels or min(levels) <= start or max(levels) > self.depth:
            raise ValueError(f"levels {sorted(levels)} are not all above {start} and at most {self.depth}")
        found: dict[int, Tensor] = {}
        with ExitStack() as stack:
            for level in set(levels) - {self.depth}:
                stack.enter_context(_kept(self.blocks[level - 1], found, level))
            if start and given is not None:
                stack.enter_context(_replaced(self.blocks[:start], lambda *_, **__: self._output(given)))
            if max(levels) < self.depth:
                stack.enter_context(
                    _replaced(self.blocks[max(levels) :], lambda hidden, *_, **__: self._output(hidden))
                )
            body = self.network.base_model  # the transformer without its head
            keywords = layout.keywords_after(cache.get_seq_length() if cache is not None else 0)
            last = body(
                input_ids=layout.input_ids, cache=cache, use_cache=cache is not None, **keywords
            ).last_hidden_state
        return found | ({self.depth: last} if self.depth in levels else {})

    def _output(self, hidden: Tensor) -> Any:
        return (hidden,) if self._blocks_return_tuples else hidden

    @torch.no_grad()
    def _try_block(self) -> bool:
        """Whether a block of this architecture returns a tuple, found by a pass over one token."""
        seen: list[bool] = []
        handle = self.blocks[0].register_forward_hook(lambda _m, _i, output: seen.append(isinstance(output, tuple)))
        with handle:
            device = self.network.get_input_embeddings().weight.device
            self.network.base_model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=device), use_cache=False)
        return seen[0]


@contextmanager
def _kept(block: nn.Module, found: dict[int, Tensor], level: int) -> Iterator[None]:
    """Keep the hidden states that `block` puts out."""

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        found[level] = hidden_states_of(output)

    with block.register_forward_hook(keep):
        yield


@contextmanager
def _replaced(blocks: Sequence[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Give `blocks` another forward function; their own is back on exit, even on error."""
    for block in blocks:
        block.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
