"""Shared prompt prefixes: read once per distinct row of coefficients, then copied into each row's key-value cache.

The prompts of a batch often start with the same tokens, and all of them start with those of the chat template. Keys and
values of a prefix depend only on the weights, so one forward per variant serves every prompt. Those of the template are
kept across calls for the variants used last, and dropped whenever adapters or weights change.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache
from transformers.configuration_utils import PretrainedConfig

from sku.models.batching import left_pad
from sku.models.chat_template import ChatTemplate, shared_prefix_length
from sku.models.coefficients import CoefficientKey, nonzero_coefficients

LayerKeyValues = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer for one row, `[1, heads, tokens, size]`."""

MAX_CACHE_BYTES = 64 * 2**20
"""Size limit of the kept template prefixes: about fifty variants of the default model."""
MIN_SHARED_PREFIX_TOKENS = 8
"""Shorter prefixes are read with each prompt: they would not pay for a forward of their own."""


class PrefillModel(Protocol):
    """What prefilling needs of a model; `VariantModel` provides it."""

    network: Any
    template: ChatTemplate

    @property
    def device(self) -> torch.device:
        """The device that inputs must be on."""

    def last_hidden_states(
        self, coefficients: Sequence[Mapping[str, float]], ids: Tensor, mask: Tensor, cache: DynamicCache | None
    ) -> Tensor:
        """Run the transformer without its output head."""


class PrefilledBatch(NamedTuple):
    """A batch whose shared prefix has been read, and the tokens that remain."""

    cache: DynamicCache
    """Holds the prefix, one row per prompt; belongs to the caller."""
    ids: Tensor
    """`[B, T]`, the tokens still to be read, at least one per prompt, left-padded."""
    mask: Tensor
    """`[B, prefix + T]`, 1 on real tokens."""


class PrefixCache:
    """Prefills batches and keeps template prefixes by coefficients; safe for several threads."""

    def __init__(self, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, LayerKeyValues] = OrderedDict()
        self._times_cleared = 0
        self._lock = threading.Lock()

    def prefill(
        self, model: PrefillModel, prompts: Sequence[Sequence[int]], coefficients: Sequence[Mapping[str, float]]
    ) -> PrefilledBatch:
        """Read the prefix that all prompts share, once per distinct row of coefficients, where that saves work.

        Args:
            model: reads; this cache must be its own.
            prompts: B prompts as tokens.
            coefficients: B rows of coefficients.
        """
        keys = [nonzero_coefficients(row) for row in coefficients]
        cache, tokens = self._read_shared_prefix(model, prompts, keys)
        ids, mask = left_pad([prompt[tokens:] for prompt in prompts], model.device)
        return PrefilledBatch(cache, ids, torch.cat([mask.new_ones(len(prompts), tokens), mask], dim=1))

    def clear(self) -> None:
        """Drop everything because weights changed or moved; a prefix that is being read meanwhile is not kept."""
        with self._lock:
            self._kept.clear()
            self._times_cleared += 1

    def hold(self) -> Callable[[], None]:
        """Block every other use until the returned function is called."""
        self._lock.acquire()
        return self._lock.release

    def get_or_read(
        self, config: PretrainedConfig, wanted: Sequence[Hashable], read: Callable[[list[int]], DynamicCache]
    ) -> DynamicCache:
        """A new key-value cache with one row for each entry of `wanted`.

        Args:
            config: the network's.
            wanted: identifies each row's prefix and weights.
            read: given the positions in `wanted` that are not kept, reads them into a cache, one row each.
        """
        with self._lock:
            found = {key: self._kept[key] for key in wanted if key in self._kept}
            times_cleared = self._times_cleared
        missing = [i for i, key in enumerate(wanted) if key not in found]
        if missing:
            fresh = read(missing)
            for row, i in enumerate(missing):
                found[wanted[i]] = [
                    (layer.keys[row : row + 1].clone(), layer.values[row : row + 1].clone()) for layer in fresh.layers
                ]
        self._keep(found, times_cleared)
        cache = DynamicCache(config=config)
        for number, layers in enumerate(zip(*(found[key] for key in wanted), strict=True)):
            keys, values = zip(*layers, strict=True)
            cache.update(torch.cat(keys), torch.cat(values), number)
        return cache

    def _read_shared_prefix(
        self, model: PrefillModel, prompts: Sequence[Sequence[int]], keys: Sequence[CoefficientKey]
    ) -> tuple[DynamicCache, int]:
        """A cache with one row per prompt, and how many tokens of each it holds."""
        config = model.network.config
        if getattr(config, "sliding_window", None):  # the window would count the padding between prefix and prompt
            return DynamicCache(config=config), 0
        distinct = list(dict.fromkeys(keys))
        prefix = prompts[0][: shared_prefix_length([prompt[:-1] for prompt in prompts])]
        cache, tokens = self._template_prefix(model, prefix, distinct)
        if len(distinct) < len(prompts) and len(prefix) - tokens >= MIN_SHARED_PREFIX_TOKENS:
            _read(model, distinct, prefix[tokens:], cache)
            tokens = len(prefix)
        if tokens:
            position = {key: i for i, key in enumerate(distinct)}
            cache.batch_select_indices(torch.tensor([position[key] for key in keys], device=model.device))
        return cache, tokens

    def _template_prefix(
        self, model: PrefillModel, prefix: Sequence[int], keys: Sequence[CoefficientKey]
    ) -> tuple[DynamicCache, int]:
        """A cache with one row per key that holds the template's prefix if `prefix` starts with it, and its length."""
        config, template_ids = model.network.config, model.template.prefix_ids
        if len(template_ids) < MIN_SHARED_PREFIX_TOKENS or tuple(prefix[: len(template_ids)]) != template_ids:
            return DynamicCache(config=config), 0

        def read(missing: list[int]) -> DynamicCache:
            return _read(model, [keys[i] for i in missing], template_ids, DynamicCache(config=config))

        return self.get_or_read(config, [(template_ids, key) for key in keys], read), len(template_ids)

    def _keep(self, used: dict[Hashable, LayerKeyValues], times_cleared: int) -> None:
        with self._lock:
            if times_cleared != self._times_cleared:
                return
            for key, layers in used.items():
                self._kept[key] = layers
                self._kept.move_to_end(key)
            while sum(map(_bytes, self._kept.values())) > self._max_bytes:
                self._kept.popitem(last=False)


def keeps_template_prefix(model: PrefillModel, prompts: Sequence[Sequence[int]]) -> bool:
    """Whether the beginning of all these prompts is the template's prefix, which later calls need not read again."""
    template = model.template.prefix_ids
    if getattr(model.network.config, "sliding_window", None) or len(template) < MIN_SHARED_PREFIX_TOKENS:
        return False
    return all(len(prompt) > len(template) and tuple(prompt[: len(template)]) == template for prompt in prompts)


def copy_cache_rows(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """A new key-value cache that continues from the given rows of `cache`, which stays as it is."""
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    chosen.batch_select_indices(rows)
    return chosen


def _read(model: PrefillModel, keys: Sequence[CoefficientKey], ids: Sequence[int], cache: DynamicCache) -> DynamicCache:
    """Append the same tokens to every row of `cache`, each read with its own coefficients."""
    batch = torch.tensor([ids] * len(keys), device=model.device)
    mask = batch.new_ones(len(keys), cache.get_seq_length() + len(ids))
    model.last_hidden_states([dict(key) for key in keys], batch, mask, cache)
    return cache


def _bytes(layers: LayerKeyValues) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in layers)
