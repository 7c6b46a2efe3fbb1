"""Who may write into a column: the newest request for it, in each visitor's page. An older one falls silent."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence


class LatestRequest:
    """The newest request for every visitor's every column."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, int], int] = {}
        self._stopped: set[tuple[str, int]] = set()

    def take(self, visitor: str, columns: Sequence[int]) -> dict[int, int]:
        """Make the caller the newest request for `columns`."""
        with self._lock:
            self._stopped -= {(visitor, column) for column in columns}
            return self._next(visitor, columns)

    def stop(self, visitor: str, columns: Sequence[int]) -> None:
        """Let all requests for `columns` fall silent."""
        with self._lock:
            self._next(visitor, columns)
            self._stopped |= {(visitor, column) for column in columns}

    def stopped(self, visitor: str, columns: Iterable[int]) -> list[int]:
        """Those of `columns` that nobody has asked since they were stopped."""
        with self._lock:
            return [column for column in columns if (visitor, column) in self._stopped]

    def mine(self, visitor: str, turns: dict[int, int]) -> list[int]:
        """The columns for which the request that took `turns` is still the newest."""
        with self._lock:
            return [column for column, turn in turns.items() if self._newest.get((visitor, column)) == turn]

    def leave(self, visitor: str) -> None:
        """Forget a visitor, whose requests then fall silent."""
        with self._lock:
            for key in [key for key in self._newest if key[0] == visitor]:
                del self._newest[key]
                self._stopped.discard(key)

    def _next(self, visitor: str, columns: Sequence[int]) -> dict[int, int]:
        for column in columns:
            self._newest[visitor, column] = self._newest.get((visitor, column), 0) + 1
        return {column: self._newest[visitor, column] for column in columns}
