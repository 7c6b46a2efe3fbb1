"""A rate limit over a sliding time window. One caller can be counted under several keys, such as cookie and address."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class RateLimited(Exception):
    """The limit is reached. The message says when to try again."""


class RateLimit:
    """Allows each key at most `limit` uses in any `seconds`. A limit of 0 means no limit."""

    def __init__(self, what: str, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.limit, self.seconds, self._clock = what, limit, seconds, clock
        self._lock = threading.Lock()
        self._uses: dict[str, deque[float]] = {}
        """Maps each key to the times of its uses within the window."""

    def take(self, keys: dict[str, int]) -> None:
        """Count one use under all keys. If one of the keys has reached its limit, nothing is counted.

        Args:
            keys: maps each key of the caller to a factor by which its limit is multiplied. An address has a factor
                above 1, because several people may share it.

        Raises:
            RateLimited: if one of the keys has reached its limit.
        """
        if not self.limit:
            return
        now = self._clock()
        with self._lock:
            self._drop_old_uses(now)
            for key, factor in keys.items():
                uses = self._uses.get(key, deque())
                if len(uses) >= self.limit * factor:
                    window, wait = _duration(self.seconds), _duration(self.seconds - (now - uses[0]))
                    message = f"{self.limit} {self.what} in {window} are allowed, and they are used up"
                    raise RateLimited(f"{message}; try again in {wait}")
            for key in keys:
                self._uses.setdefault(key, deque()).append(now)

    def give_back(self, keys: dict[str, int]) -> None:
        """Take back the newest use of all keys."""
        with self._lock:
            for key in keys:
                if uses := self._uses.get(key):
                    uses.pop()

    def left(self, keys: dict[str, int]) -> int | None:
        """How many more uses `take` would allow now; None: no limit."""
        if not self.limit:
            return None
        with self._lock:
            self._drop_old_uses(self._clock())
            return max(0, min(self.limit * factor - len(self._uses.get(key, ())) for key, factor in keys.items()))

    def _drop_old_uses(self, now: float) -> None:
        for key in list(self._uses):
            uses = self._uses[key]
            while uses and now - uses[0] >= self.seconds:
                uses.popleft()
            if not uses:
                del self._uses[key]


def _duration(seconds: float) -> str:
    """A time in words, such as `a minute` or `3 hours`."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}s" if count > 1 else f"{'an' if name == 'hour' else 'a'} {name}"
    return f"{max(1, round(seconds))} s"
