"""How often somebody may do something: so many times in a sliding window, by any of the keys that name them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class RateLimited(Exception):
    """The budget is used up; the text says when to try again."""


class RateLimit:
    """At most `limit` times in `seconds` for every key; 0 is no limit."""

    def __init__(self, what: str, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.limit, self.seconds, self._clock = what, limit, seconds, clock
        self._lock = threading.Lock()
        self._taken: dict[str, deque[float]] = {}

    def take(self, keys: dict[str, int]) -> None:
        """Count once more, for all keys or, where one is used up, for none.

        Args:
            keys: who asks, each with a factor of the limit: an address may stand for several people.

        Raises:
            RateLimited: if one of the keys has used up its share.
        """
        if not self.limit:
            return
        now = self._clock()
        with self._lock:
            self._forget(now)
            for key, factor in keys.items():
                taken = self._taken.get(key) or deque()
                if len(taken) >= self.limit * factor:
                    span, wait = _time(self.seconds), _time(self.seconds - (now - taken[0]))
                    said = f"{self.limit} {self.what} in {span} are allowed, and they are used up"
                    raise RateLimited(f"{said}; try again in {wait}")
            for key in keys:
                self._taken.setdefault(key, deque()).append(now)

    def _forget(self, now: float) -> None:
        for key in list(self._taken):
            taken = self._taken[key]
            while taken and now - taken[0] >= self.seconds:
                taken.popleft()
            if not taken:
                del self._taken[key]


def _time(seconds: float) -> str:
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}s" if count > 1 else f"{'an' if name == 'hour' else 'a'} {name}"
    return f"{max(1, round(seconds))} s"
