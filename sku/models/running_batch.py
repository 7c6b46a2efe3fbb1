"""The batch that is being decoded. Requests join it while it runs (continuous batching).

A new request reads its prompt by itself, between two steps of the others; then its rows decode together with theirs. A
row's logits are those that it has alone up to rounding, because products of more rows add in another order. On the
default model in fp32, 24 greedy texts of 24 tokens were the same for eight questions in one batch as for each alone.
Knows no page.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import DynamicCache, DynamicLayer

from sku.models.batching import token_positions
from sku.models.decode_request import Request, Row
from sku.models.variant_model import VariantModel

MAX_CACHE_BYTES = 2**30
"""Keys and values of all running requests. A request for which there is no room waits, unless nothing else runs."""
MAX_PADDING = 0.5
"""The largest share of padding in the cache of a batch that a request joins; beyond, it decodes in another batch."""


class RunningBatch:
    """Decodes the requests of several callers. All of them must be on one thread.

    A caller asks for the next token of its request. One step writes a token of every request in the batch, so the next
    caller finds its token written already.
    """

    def __init__(self, model: VariantModel, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._model = model
        self._max_bytes = max_bytes
        self._bytes_per_token = 0
        """Keys and values of one token in all layers; 0 until a prompt was read."""
        self._groups: list[_Group] = []
        self._waiting: list[Request] = []

    def next_token(self, request: Request) -> None:
        """Write the next token of every row of `request`; nothing is written while there is no room for it.

        Raises:
            ValueError: if an adapter that it needs is not loaded.
            OutOfMemory: if there is not enough memory for the batch.
        """
        if not request.has_news:
            group = self._group_of(request)
            if group is not None:
                group.step()
                self._forget_ended_groups()
            elif self._may_start(request):
                self._start(request)
        request.has_news = False
        if request.fault is not None:
            raise request.fault

    def leave(self, request: Request) -> None:
        """Take a request out; its unfinished answers count as cancelled, and the others go on."""
        if request in self._waiting:
            self._waiting.remove(request)
        if group := self._group_of(request):
            group.drop([request])
            self._forget_ended_groups()
        request.cancel()

    def _group_of(self, request: Request) -> _Group | None:
        return next((group for group in self._groups if request in group.requests), None)

    def _may_start(self, request: Request) -> bool:
        """Whether there is room now. Requests that wait start in the order in which they came."""
        if request not in self._waiting:
            self._waiting.append(request)
        running = [one for group in self._groups for one in group.requests]
        tokens = sum(one.max_tokens for one in [*running, request])
        return self._waiting[0] is request and (not running or tokens * self._bytes_per_token <= self._max_bytes)

    def _start(self, request: Request) -> None:
        self._waiting.remove(request)
        new = _Group(self._model, request)
        new.step()
        self._bytes_per_token = new.bytes_per_token
        if new.requests:
            group = next((group for group in self._groups if group.may_join(new)), None)
            if group is None:
                self._groups.append(new)
            else:
                group.join(new)

    def _forget_ended_groups(self) -> None:
        self._groups = [group for group in self._groups if group.requests]


class _Group:
    """Requests that decode together: their unfinished rows, in order, share a key-value cache."""

    def __init__(self, model: VariantModel, request: Request) -> None:
        self.requests = [request]
        self._model = model
        self._cache, self._ids, self._mask = model.prefix_cache.prefill(
            model, [row.prompt_ids for row in request.rows], [row.coefficients for row in request.rows]
        )

    @property
    def bytes_per_token(self) -> int:
        """Keys and values of one token in all layers."""
        tokens: int = len(self._mask) * max(1, self._cache.get_seq_length())
        layers = [layer for layer in self._cache.layers if layer.is_initialized]
        held: int = sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
        return held // tokens

    def step(self) -> None:
        """Write one token of every row. A fault ends all requests of this group."""
        self._end_those_without_adapters()
        try:
            if self.requests:
                self._write_token()
        except Exception as fault:
            for request in self.requests:
                request.fail(fault)
            self.requests = []

    def drop(self, requests: Sequence[Request]) -> None:
        """Take requests out, with their rows."""
        owners = [request for request in self.requests for _ in request.rows]
        self.requests = [request for request in self.requests if request not in requests]
        self._keep([i for i, owner in enumerate(owners) if owner not in requests])

    def may_join(self, other: _Group) -> bool:
        """Whether the rows of both can decode together without much padding."""
        if not (_is_plain(self._cache) and _is_plain(other._cache)):
            return False
        rows = len(self._mask) + len(other._mask)
        cells = rows * max(self._mask.shape[1], other._mask.shape[1])
        return int(self._mask.sum() + other._mask.sum()) >= (1 - MAX_PADDING) * cells

    def join(self, other: _Group) -> None:
        """Take over the rows of `other`, after the own ones. The shorter cache is padded on the left."""
        tokens = [group._cache.get_seq_length() for group in (self, other)]
        pads = [max(tokens) - count for count in tokens]
        joined = DynamicCache(config=self._model.network.config)
        for number, layers in enumerate(zip(self._cache.layers, other._cache.layers, strict=True)):
            keys = [pad(layer.keys, (0, 0, count, 0)) for layer, count in zip(layers, pads, strict=True)]
            values = [pad(layer.values, (0, 0, count, 0)) for layer, count in zip(layers, pads, strict=True)]
            joined.update(torch.cat(keys), torch.cat(values), number)
        self._cache = joined
        self._mask = torch.cat([pad(self._mask, (pads[0], 0)), pad(other._mask, (pads[1], 0))])
        self._ids = torch.cat([self._ids, other._ids])
        self.requests += other.requests

    def _write_token(self) -> None:
        logits = self._next_logits([row for request in self.requests for row in request.rows])
        going_on: list[int] = []
        first = 0
        for request in self.requests:
            end = first + len(request.rows)
            going_on += [first + place for place in request.append(logits[first:end], self._model.template)]
            first = end
        self.requests = [request for request in self.requests if request.rows]
        chosen = [row.answers[0].tokens[-1] for request in self.requests for row in request.rows]
        self._keep(going_on)
        self._ids = torch.tensor(chosen, device=self._model.device)[:, None]
        self._mask = pad(self._mask, (0, 1), value=1)

    @torch.no_grad()
    def _next_logits(self, rows: Sequence[Row]) -> Tensor:
        """Read the pending tokens; logits of the next one, `[R, V]`."""
        with self._model.decoding_rows([row.coefficients for row in rows]) as network:
            out = network(
                input_ids=self._ids,
                attention_mask=self._mask,
                position_ids=token_positions(self._mask, self._ids.shape[1]),
                cache=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows, and cut off what is padding in all of them, or the cache would grow for ever."""
        if not 0 < len(rows) < len(self._mask):
            return
        keep = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(keep)
        self._ids, self._mask = self._ids[keep], self._mask[keep]
        padding = int((self._mask.cumsum(-1) == 0).sum(-1).min())
        if padding and _is_plain(self._cache):
            self._mask = self._mask[:, padding:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, padding:], layer.values[:, :, padding:]

    def _end_those_without_adapters(self) -> None:
        """End requests of which an adapter was unloaded meanwhile; the others would fail with them."""
        loaded = set(self._model.adapters)
        for request in list(self.requests):
            gone = {name for row in request.rows for name in row.coefficients} - loaded
            if gone:
                self.drop([request])
                request.fail(ValueError(f"adapters {sorted(gone)} were unloaded while answers were written; ask again"))


def _is_plain(cache: DynamicCache) -> bool:
    """Whether all layers keep every token: the window of a sliding layer would count padding."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)
