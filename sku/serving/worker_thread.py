"""One thread that computes for all who ask.

OpenMP keeps a team of threads for every thread that computes. With two teams on two cores libgomp stops spinning and
sends helpers to sleep between any two products: an answer of three columns took 2.7 s instead of 1.5 s. So a program
whose handlers come on many threads, as a web page's do, sends its work here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class WorkerThread:
    """Jobs in the order in which they come; of streams a step at a time, so that all of them go on."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], _T]) -> _T:
        """What `job` returns or raises; on the thread itself at once."""
        if threading.current_thread() is self._thread:
            return job()
        done: Future[_T] = Future()
        self._jobs.put(lambda: _settle(done, job))
        return done.result()

    def stream(self, source: Callable[[], Iterator[_T]]) -> Iterator[_T]:
        """What `source()` yields; a reader that is slower than the thread misses some, never the last.

        The source runs on while the reader is busy, and is closed when the reader is.
        """
        if threading.current_thread() is self._thread:
            yield from source()
            return
        values: SimpleQueue[Future[_T]] = SimpleQueue()
        left = threading.Event()

        def lazily() -> Generator[_T, None, None]:
            yield from source()  # begun by the first step, so on the thread

        made = lazily()

        def step() -> None:
            if left.is_set():
                _settle(Future(), made.close)
                return
            value: Future[_T] = Future()
            _settle(value, lambda: next(made))
            values.put(value)
            if value.exception() is None:
                self._jobs.put(step)

        self._jobs.put(step)
        try:
            while True:
                value = values.get()
                while value.exception() is None and not values.empty():
                    newer = values.get()
                    if newer.exception() is not None:
                        yield value.result()
                    value = newer
                if isinstance(value.exception(), StopIteration):
                    return
                yield value.result()
        finally:
            left.set()

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def _settle(done: Future[_T], job: Callable[[], _T]) -> None:
    try:
        done.set_result(job())
    except BaseException as error:
        done.set_exception(error)
