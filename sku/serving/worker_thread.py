"""One thread that runs the model for every caller.

OpenMP keeps a team of threads for each thread that computes. With two teams on two cores, libgomp stops spinning and
puts its threads to sleep between products: an answer in three columns took 2.7 s instead of 1.5 s. So a program whose
handlers run on many threads, as a web page's do, sends its work here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class WorkerThread:
    """Runs jobs in the order in which they come, and streams one step at a time, so that all of them progress.

    Steps and jobs alternate: after one step of every stream comes one job. A job, such as judging three answers, takes
    as long as several steps; if all that wait ran first, nobody's answer would grow meanwhile. Short jobs, which a new
    question needs before its first step, run before everything that waits.
    """

    def __init__(self) -> None:
        self._short_jobs: deque[Callable[[], None]] = deque()
        self._jobs: deque[Callable[[], None]] = deque()
        self._steps: deque[Callable[[], None]] = deque()
        self._work_waits = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], _T], short: bool = False) -> _T:
        """What `job` returns or raises. A call from the thread itself runs at once, a short job as the next."""
        if threading.current_thread() is self._thread:
            return job()
        done: Future[_T] = Future()
        self._add(self._short_jobs if short else self._jobs, lambda: _settle(done, job))
        return done.result()

    def stream(self, source: Callable[[], Iterator[_T]]) -> Generator[_T, None, None]:
        """What `source()` yields. If the consumer is slow, intermediate values are dropped; the last is delivered.

        The source runs on while the consumer is busy, and is closed when the consumer stops.
        """
        if threading.current_thread() is self._thread:
            yield from source()
            return
        values: SimpleQueue[Future[_T]] = SimpleQueue()
        closed = threading.Event()

        def started_on_the_thread() -> Generator[_T, None, None]:
            yield from source()

        generator = started_on_the_thread()

        def step() -> None:
            if closed.is_set():
                _settle(Future(), generator.close)
                return
            value: Future[_T] = Future()
            _settle(value, lambda: next(generator))
            values.put(value)
            if value.exception() is None:
                self._add(self._steps, step)

        self._add(self._steps, step)
        try:
            yield from _newest(values)
        finally:
            closed.set()

    def _add(self, queue: deque[Callable[[], None]], work: Callable[[], None]) -> None:
        queue.append(work)
        self._work_waits.release()

    def _work(self) -> None:
        steps_before_the_next_job = 0
        while True:
            self._work_waits.acquire()  # so one of the queues has something, and only this thread takes it out
            if self._short_jobs:
                self._short_jobs.popleft()()
            elif self._jobs and not (self._steps and steps_before_the_next_job):
                self._jobs.popleft()()
                steps_before_the_next_job = len(self._steps)
            else:
                self._steps.popleft()()
                steps_before_the_next_job = max(0, steps_before_the_next_job - 1)


def _newest(values: SimpleQueue[Future[_T]]) -> Iterator[_T]:
    """The newest value at each step, until a future holds an error; StopIteration ends it, others are raised."""
    while True:
        value = values.get()
        while value.exception() is None and not values.empty():
            newer = values.get()
            if newer.exception() is not None:
                yield value.result()  # the last one before the end
            value = newer
        if isinstance(value.exception(), StopIteration):
            return
        yield value.result()


def _settle(done: Future[_T], job: Callable[[], _T]) -> None:
    try:
        done.set_result(job())
    except BaseException as error:
        done.set_exception(error)
