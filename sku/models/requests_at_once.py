"""Many requests to one server, some of them under way at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each_at_once(
    request: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int
) -> Iterator[tuple[int, _Result]]:
    """Make a request for each item; yields the place of each item with its result as they come.

    Raises:
        Exception: the first one that a request raised, after what was under way then has been yielded.
    """
    stopped = threading.Event()

    def work(item: _Item) -> tuple[_Result] | None:
        if stopped.is_set():
            return None
        try:
            return (request(item),)
        except BaseException:
            stopped.set()
            raise

    failed: BaseException | None = None
    with ThreadPoolExecutor(at_once, "server") as pool:
        places = {pool.submit(work, item): i for i, item in enumerate(items)}
        try:
            for future in as_completed(places):
                failed = failed or future.exception()
                if future.exception() is None and (found := future.result()) is not None:
                    yield places[future], found[0]
        finally:
            stopped.set()
    if failed is not None:
        raise failed
