"""Chooses how many threads a page computes with: all of them on a free machine, one while other work shares it.

Two threads that must wait for each other at every product are slower than one as soon as one of them does not get a
processor of its own. So the speed is measured when the model is loaded, and again when answers become slow; while a
training or measurement of the page runs, one thread computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from sku.core.compute_threads import ThreadChoice, remember_choice
from sku.core.config import DecodingConfig
from sku.core.variants import BASE, Variant

if TYPE_CHECKING:
    from sku.models.variant_model import VariantModel

SLOW = 0.5
"""An answer is slow below this part of the best speed of answers in so many columns."""
MIN_TOKENS = 12
"""Shorter answers say little about the speed."""
SECONDS_BETWEEN_MEASUREMENTS = 60.0
SECONDS_UNTIL_MORE_THREADS_ARE_TRIED = 600.0
"""After so long with fewer threads than there could be, the machine may be free again."""
_MEASURED_TOKENS, _MEASURED_ROWS = 8, 3


class ThreadChooser:
    """Sets the number of threads. OpenMP keeps that number per thread, so call it on the thread that runs the model."""

    def __init__(
        self,
        seconds_per_token: Callable[[], float],
        job_runs: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure at once, if there is a choice.

        Args:
            seconds_per_token: writes a few tokens with the present number of threads and returns the time of one.
            job_runs: says whether a training or measurement of the page runs now.
            clock: seconds.
        """
        import torch

        self._torch, self._seconds_per_token, self._job_runs, self._clock = torch, seconds_per_token, job_runs, clock
        self.most = torch.get_num_threads()
        self.chosen = self.most
        self._measured_at = clock()
        self._best: dict[int, float] = {}
        """The highest speed, in tokens per second, by number of columns."""
        self._slow = False
        if self.most > 1 and not job_runs():
            self._measure()

    def before_question(self) -> None:
        """Set the number of threads for a question that is about to be answered."""
        if self.most == 1:
            return
        if self._job_runs():
            self._torch.set_num_threads(1)
            return
        waited = self._clock() - self._measured_at
        worth_a_try = self.chosen < self.most and waited > SECONDS_UNTIL_MORE_THREADS_ARE_TRIED
        if worth_a_try or (self._slow and waited > SECONDS_BETWEEN_MEASUREMENTS):
            self._measure()
        self._torch.set_num_threads(self.chosen)

    def after_answer(self, columns: int, tokens: int, seconds: float) -> None:
        """Note how fast a question was answered. If that was slow, the next question begins with a measurement.

        Args:
            columns: of the question.
            tokens: of the longest answer.
            seconds: from the start to the end of that answer.
        """
        if tokens < MIN_TOKENS or seconds <= 0:
            return
        speed, best = tokens / seconds, self._best.get(columns, 0.0)
        self._best[columns] = max(speed, best)
        self._slow = speed < SLOW * best

    def _measure(self) -> None:
        times = {}
        for threads in (1, self.most):
            self._torch.set_num_threads(threads)
            times[threads] = self._seconds_per_token()
        self.chosen = min(times, key=lambda threads: times[threads])
        self._torch.set_num_threads(self.chosen)
        self._measured_at, self._slow = self._clock(), False
        self._best.clear()
        remember_choice(ThreadChoice(self.chosen, self.most, times, time.time()))


def base_seconds_per_token(model: VariantModel) -> float:
    """The time in which the base writes one token in three rows, as three columns of the page do."""
    from sku.models.generation import stream_answers

    config = DecodingConfig(max_new_tokens=_MEASURED_TOKENS, temperature=1.0, samples=_MEASURED_ROWS)  # rows differ
    ends = [time.perf_counter() for _ in stream_answers(model, ["Why is the sky blue?"], [Variant(BASE, 0.0)], config)]
    steps = [end - begin for begin, end in pairwise(ends)]
    return median(steps[1:] or steps)  # the first reads the prompt
