"""Run rows that begin alike in one forward pass without padding: every distinct beginning is computed once.

The rows of a training step share the tokens of the chat template, and often a whole prompt or the first tokens of an
answer. All tokens of the rows are laid out as one sequence in which a token with the same tokens before it, and the
same coefficients, occurs once. Only attention sees rows: it gathers the keys and values of each row and lets every
token look back along its own row. Everything else in a block works on single tokens. Gradients are those of separate
rows, because a shared token collects them from every row that it is in.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SHARED_SDPA = "sdpa_over_shared_tokens"
"""The name of our attention function in transformers. Without a layout it is `sdpa`."""


@dataclass(frozen=True, eq=False)
class RowLayout:
    """Where the tokens of R rows, the longest of W tokens, are in one forward pass `[B, T]`."""

    input_ids: Tensor
    """`[B, T]`: `[1, T]` if rows share tokens, else `[R, W]`, padded on the right."""
    places: Tensor
    """`[R, W]`, the place of each token of each row in the flattened pass; any place for padding."""
    first: Tensor
    """`[B * T]`, the first place in the flattened `[R, W]` of each token of the pass."""
    position_ids: Tensor | None = None
    """`[1, T]`, the position of each token in its rows, if rows share tokens."""
    attention_mask: Tensor | None = None
    """`[R, W]`, 1 on real tokens, if rows do not share tokens."""

    def keywords_after(self, cached_tokens: int) -> dict[str, Any]:
        """The arguments of the transformer's forward function besides `input_ids`.

        Args:
            cached_tokens: tokens of every row that are in the key-value cache; 0 if rows share tokens.
        """
        if self.attention_mask is not None:
            return {"attention_mask": pad(self.attention_mask, (cached_tokens, 0), value=1)}
        unused = torch.zeros(1, 1, 1, 1, device=self.places.device)  # given four dimensions, transformers makes no mask
        return {"attention_mask": unused, "position_ids": self.position_ids, "row_layout": self}

    def column(self, coefficients: Sequence[float]) -> Tensor:
        """One coefficient per row as a factor for hidden states `[B, T, H]`."""
        values = torch.tensor(coefficients, device=self.places.device)
        width = self.places.shape[1]
        shared = self.position_ids is not None
        return values[self.first // width][None, :, None] if shared else values[:, None, None]

    def gather(self, states: Sequence[Tensor]) -> Tensor:
        """Hidden states `[B, T, H]` of the pass, from those of each row, R tensors `[tokens, H]`."""
        padded = states[0].new_zeros(*self.places.shape, states[0].shape[-1])  # (R, W, H)
        for row, own in zip(padded, states, strict=True):
            row[: len(own)] = own
        chosen = padded.flatten(0, 1)[self.first]
        return chosen.view(*self.input_ids.shape, -1)


def lay_out(
    rows: Sequence[Sequence[int]],
    keys: Sequence[Hashable],
    shared: bool,
    device: torch.device,
    width_multiple: int = 1,
) -> RowLayout:
    """The layout of rows in one forward pass.

    Args:
        rows: R rows of tokens.
        keys: R values; rows share tokens only if they have equal keys, because they run the same model.
        shared: whether to compute shared beginnings once; needs a network that `use_shared_tokens` accepted.
        device: where the tensors are to be.
        width_multiple: rows that share no tokens are padded to a multiple of this.
    """
    return _share(rows, keys, device) if shared else _pad(rows, device, width_multiple)


def use_shared_tokens(network: Any) -> bool:
    """Let `network` run layouts with shared tokens. Its other forward passes do not change.

    Returns:
        False, and the network stays as it is, if its attention is not plain causal attention by `sdpa`.
    """
    config = network.config
    if config._attn_implementation == SHARED_SDPA:
        return True
    if config._attn_implementation != "sdpa" or getattr(config, "attn_logit_softcapping", None):
        return False
    if getattr(config, "sliding_window", None) and "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        return False
    config._attn_implementation = SHARED_SDPA
    return True


def attend_along_rows(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_layout: RowLayout | None = None,
    **keywords: Any,
) -> tuple[Tensor, None]:
    """Attention in which each token of a layout looks back along its own row; without a layout, plain `sdpa`.

    Args:
        module: the attention layer.
        query: `[1, heads, T, size]`; `key` and `value` likewise.
        key: see `query`.
        value: see `query`.
        attention_mask: not used with a layout, whose rows are padded on the right and so need only causal attention.
        row_layout: given to the transformer as a keyword.
        keywords: those of `sdpa`.
    """
    if row_layout is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **keywords)
        return output, None
    rows = [_as_rows(states, row_layout.places) for states in (query, key, value)]
    output, _ = sdpa_attention_forward(module, *rows, None, **keywords | {"is_causal": True})  # (R, W, heads, size)
    return embedding(row_layout.first, output.flatten(0, 1).flatten(1)).view(1, -1, *output.shape[2:]), None


AttentionInterface.register(SHARED_SDPA, attend_along_rows)
AttentionMaskInterface.register(SHARED_SDPA, sdpa_mask)


def _as_rows(states: Tensor, places: Tensor) -> Tensor:
    """`[1, heads, T, size]` to `[R, heads, W, size]`."""
    _, heads, tokens, size = states.shape
    flat = states.transpose(1, 2).reshape(tokens, heads * size)
    # `embedding` is the gather whose gradient is fastest on a CPU
    return embedding(places, flat).view(*places.shape, heads, size).transpose(1, 2)


def _share(rows: Sequence[Sequence[int]], keys: Sequence[Hashable], device: torch.device) -> RowLayout:
    width = max(map(len, rows))
    ids: list[int] = []
    positions: list[int] = []
    first: list[int] = []
    places = torch.zeros(len(rows), width, dtype=torch.long)
    known: dict[tuple[Hashable, int], int] = {}
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        before: Hashable = (key,)  # a tuple, which no place equals
        path = []
        for position, token in enumerate(row):
            place = known.setdefault((before, token), len(ids))
            if place == len(ids):
                ids.append(token)
                positions.append(position)
                first.append(number * width + position)
            path.append(place)
            before = place
        places[number, : len(row)] = torch.tensor(path)
    return RowLayout(
        input_ids=torch.tensor([ids], device=device),
        places=places.to(device),
        first=torch.tensor(first, device=device),
        position_ids=torch.tensor([positions], device=device),
    )


def _pad(rows: Sequence[Sequence[int]], device: torch.device, width_multiple: int) -> RowLayout:
    width = -(-max(map(len, rows)) // width_multiple) * width_multiple
    ids, mask = torch.zeros(2, len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    places = torch.arange(ids.numel(), device=device)
    return RowLayout(ids.to(device), places.view_as(ids), places, attention_mask=mask.to(device))
