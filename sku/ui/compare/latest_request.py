"""Only the newest request may write into a column. Older requests for the same column stop writing."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ticket:
    """One request for some columns of one visitor's page."""

    visitor: str
    numbers: dict[int, int]
    """Maps a column to the number of this request for it."""
    requests: LatestRequest

    def current(self) -> list[int]:
        """The columns for which this request is still the newest."""
        return self.requests.newest(self)

    def stopped(self) -> list[int]:
        """The columns of this request that were stopped and not asked again."""
        return self.requests.stopped(self.visitor, self.numbers)


class LatestRequest:
    """Keeps the number of the newest request for every column of every visitor's page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, int], int] = {}
        self._stopped: set[tuple[str, int]] = set()

    def take(self, visitor: str, columns: Sequence[int]) -> Ticket:
        """Make the caller the newest request for `columns`."""
        with self._lock:
            self._stopped -= {(visitor, column) for column in columns}
            return Ticket(visitor, self._next(visitor, columns), self)

    def stop(self, visitor: str, columns: Sequence[int]) -> None:
        """Make all requests for `columns` stop writing."""
        with self._lock:
            self._next(visitor, columns)
            self._stopped |= {(visitor, column) for column in columns}

    def stopped(self, visitor: str, columns: Iterable[int]) -> list[int]:
        """Those of `columns` that were stopped and not asked again."""
        with self._lock:
            return [column for column in columns if (visitor, column) in self._stopped]

    def newest(self, ticket: Ticket) -> list[int]:
        """The columns for which `ticket` is still the newest request."""
        with self._lock:
            return [i for i, number in ticket.numbers.items() if self._newest.get((ticket.visitor, i)) == number]

    def leave(self, visitor: str) -> None:
        """Forget a visitor, which makes all of their requests stop writing."""
        with self._lock:
            for key in [key for key in self._newest if key[0] == visitor]:
                del self._newest[key]
                self._stopped.discard(key)

    def _next(self, visitor: str, columns: Sequence[int]) -> dict[int, int]:
        for column in columns:
            self._newest[visitor, column] = self._newest.get((visitor, column), 0) + 1
        return {column: self._newest[visitor, column] for column in columns}
