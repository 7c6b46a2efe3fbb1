"""Template prefixes are kept by variant and within bounds; a decode gets copies."""

from __future__ import annotations

import threading

import torch
from transformers import DynamicCache, LlamaConfig

from sku.models.prefix_cache import PrefixCache

CONFIG = LlamaConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
A_ROW = 2 * 2 * (2 * 3 * 4) * 4
"""Bytes: two layers, keys and values, two heads of three tokens of size four, fp32."""


class Reader:
    """Reads a kind as a cache full of its number."""

    def __init__(self, kinds: list[int]) -> None:
        self.kinds, self.asked = kinds, list[list[int]]()

    def __call__(self, places: list[int]) -> DynamicCache:
        self.asked.append([self.kinds[place] for place in places])
        cache = DynamicCache(config=CONFIG)
        for layer in range(2):
            rows = torch.stack([torch.full((2, 3, 4), float(self.kinds[place])) for place in places])
            cache.update(rows, -rows, layer)
        return cache


def got(kept: PrefixCache, kinds: list[int]) -> tuple[list[list[int]], list[float]]:
    """What had to be read, and what each row of the cache is full of."""
    reader = Reader(kinds)
    cache = kept.get_or_read(CONFIG, kinds, reader)
    keys, values = cache.layers[1].keys, cache.layers[1].values
    assert torch.equal(keys, -values)
    return reader.asked, keys[:, 0, 0, 0].tolist()


def test_only_what_was_not_asked_before_is_read() -> None:
    kept = PrefixCache()
    assert got(kept, [1, 2]) == ([[1, 2]], [1, 2])
    assert got(kept, [2, 3, 1]) == ([[3]], [2, 3, 1])
    assert got(kept, [3, 2]) == ([], [3, 2])
    kept.clear()
    assert got(kept, [3]) == ([[3]], [3])


def test_what_was_asked_longest_ago_makes_room() -> None:
    kept = PrefixCache(max_bytes=2 * A_ROW)
    got(kept, [1, 2])
    got(kept, [1])
    assert got(kept, [3]) == ([[3]], [3])
    assert got(kept, [1]) == ([], [1])
    assert got(kept, [2]) == ([[2]], [2]), "asked before 1 was asked again"


def test_more_than_is_kept_can_be_asked_at_once() -> None:
    kept = PrefixCache(max_bytes=A_ROW)
    assert got(kept, [1, 2, 3]) == ([[1, 2, 3]], [1, 2, 3])


def test_a_decode_that_goes_on_leaves_what_is_kept_as_it_was() -> None:
    kept = PrefixCache()
    kinds = [1, 2]
    cache = kept.get_or_read(CONFIG, kinds, Reader(kinds))
    cache.update(torch.ones(2, 2, 5, 4), torch.ones(2, 2, 5, 4), 0)
    cache.layers[1].keys.zero_()
    assert got(kept, kinds) == ([], [1, 2])
    alone = kept.get_or_read(CONFIG, [1], Reader([1]))
    alone.layers[1].keys.zero_()
    assert got(kept, [1]) == ([], [1])


def test_what_was_read_by_weights_that_are_gone_is_not_kept() -> None:
    kept = PrefixCache()
    reader = Reader([1])

    def read(places: list[int]) -> DynamicCache:
        kept.clear()  # another visitor's adapter was loaded meanwhile
        return reader(places)

    kept.get_or_read(CONFIG, [1], read)
    assert got(kept, [1]) == ([[1]], [1])


def test_who_holds_it_is_waited_for() -> None:
    kept = PrefixCache()
    free = kept.hold()
    waiting = threading.Thread(target=kept.clear)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    free()
    waiting.join(5)
    assert not waiting.is_alive()
