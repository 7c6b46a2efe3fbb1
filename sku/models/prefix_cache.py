"""What every prompt of a model begins with, the opening of its chat template, read once a variant and kept.

Half the tokens of a short question are the template's, and their keys and values depend on the weights alone. Kept for
the variants that were asked last, and forgotten with the adapters. Knows no text.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig

KeyValues = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, `[1, heads, tokens, size]`."""

MAX_CACHE_BYTES = 64 * 2**20
"""About fifty variants of the default model."""


class PrefixCache:
    """Keys and values by variant; safe for several threads."""

    def __init__(self, most_bytes: int = MAX_CACHE_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, KeyValues] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()

    def forget(self) -> None:
        """After the weights changed, or moved; what is being read by the old ones is not kept either."""
        with self._lock:
            self._kept.clear()
            self._forgotten += 1

    def hold(self) -> Callable[[], None]:
        """Let nobody in until what is returned is called."""
        self._lock.acquire()
        return self._lock.release

    def cache(
        self, config: PretrainedConfig, kinds: Sequence[Hashable], read: Callable[[list[int]], DynamicCache]
    ) -> DynamicCache:
        """The cache of a batch with a row for each of `kinds`, new at every call.

        Args:
            config: of the network.
            kinds: what each row begins with, tokens and weights.
            read: reads the beginnings in these places of `kinds`, those that are not kept, one a row.
        """
        with self._lock:
            found = {kind: self._kept[kind] for kind in kinds if kind in self._kept}
            forgotten = self._forgotten
        missing = [place for place, kind in enumerate(kinds) if kind not in found]
        if missing:
            fresh = read(missing)
            for row, place in enumerate(missing):
                found[kinds[place]] = [
                    (layer.keys[row : row + 1].clone(), layer.values[row : row + 1].clone()) for layer in fresh.layers
                ]
        self._keep(found, forgotten)
        cache = DynamicCache(config=config)
        for number, layers in enumerate(zip(*(found[kind] for kind in kinds), strict=True)):
            keys, values = zip(*layers, strict=True)
            cache.update(torch.cat(keys), torch.cat(values), number)
        return cache

    def _keep(self, used: dict[Hashable, KeyValues], forgotten: int) -> None:
        with self._lock:
            if forgotten != self._forgotten:
                return
            for kind, layers in used.items():
                self._kept[kind] = layers
                self._kept.move_to_end(kind)
            while sum(map(_bytes, self._kept.values())) > self._most:
                self._kept.popitem(last=False)


def _bytes(layers: KeyValues) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in layers)
