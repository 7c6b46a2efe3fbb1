"""Measure how a run spends its time, by kind of work. Knows no model and no file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Stopwatch:
    """Adds up seconds by kind of work. What is measured is wall time, so a busy machine counts."""

    def __init__(self, spent: Mapping[str, float], clock: Callable[[], float] = time.perf_counter) -> None:
        """Start.

        Args:
            spent: seconds from before a resume, by kind of work.
            clock: gives the time in seconds.
        """
        self.spent = dict(spent)
        self._clock, self._last = clock, clock()

    def lap(self, kind: str) -> float:
        """Count all time since the last lap as `kind`, and return it."""
        now = self._clock()
        seconds, self._last = now - self._last, now
        self.spent[kind] = self.spent.get(kind, 0.0) + seconds
        return seconds
