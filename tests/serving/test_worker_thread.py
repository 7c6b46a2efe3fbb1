"""One thread computes for all: what it promises those who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sku.core.config import DecodingConfig
from sku.serving.live_session import LiveSession
from sku.serving.worker_thread import WorkerThread
from tests.conftest import forward_shapes, keyword_session


@pytest.fixture
def thread() -> WorkerThread:
    return WorkerThread()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_every_job_runs_on_the_same_thread(thread: WorkerThread) -> None:
    with ThreadPoolExecutor(8) as callers:
        found = set(callers.map(lambda _: thread.run(threading.get_ident), range(40)))
    assert len(found) == 1
    assert threading.get_ident() not in found


def test_a_fault_reaches_who_asked_and_nobody_else(thread: WorkerThread) -> None:
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 // 0)
    assert thread.run(lambda: 7) == 7


def test_a_job_may_ask_for_jobs_and_streams(thread: WorkerThread) -> None:
    assert thread.run(lambda: thread.run(lambda: list(thread.stream(lambda: iter("abc"))))) == ["a", "b", "c"]


def test_a_stream_ends_with_its_last_value_however_slow_its_reader(thread: WorkerThread) -> None:
    made = thread.stream(lambda: iter(range(50)))
    first = next(made)
    thread.run(lambda: None)  # behind the first steps
    seen = [first, *made]
    assert seen[-1] == 49
    assert seen == sorted(set(seen)), "in order, none twice"


def test_a_stream_may_be_empty(thread: WorkerThread) -> None:
    assert list(thread.stream(lambda: iter(()))) == []


def test_a_streams_fault_comes_after_what_it_yielded(thread: WorkerThread) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("the end")

    made = thread.stream(source)
    assert next(made) == 1
    with pytest.raises(ValueError, match="the end"):
        next(made)


def test_streams_go_on_side_by_side(thread: WorkerThread) -> None:
    """The second one is not kept waiting for the end of the first."""
    done = threading.Event()

    def endless() -> Iterator[int]:
        while not done.is_set():
            yield 0

    first = thread.stream(endless)
    assert next(first) == 0
    assert list(thread.stream(lambda: iter("xyz")))[-1] == "z"
    done.set()
    assert set(first) <= {0}


def test_jobs_that_wait_take_turns_with_every_stream(thread: WorkerThread) -> None:
    """However many answers wait to be judged, those that are being written get a token after each."""
    order: list[str] = []
    gate = threading.Event()

    def source(name: str) -> Iterator[None]:
        for _ in range(3):
            order.append(name)
            yield

    with ThreadPoolExecutor(8) as callers:
        first = callers.submit(thread.run, lambda: gate.wait(30))
        while not first.running():
            pass
        streams = [callers.submit(lambda n=name: list(thread.stream(lambda: source(n)))) for name in "ab"]
        jobs = [callers.submit(thread.run, lambda: order.append("job")) for _ in range(3)]
        while (len(thread._steps), len(thread._jobs)) != (2, 3):
            pass
        gate.set()
        for done in (*streams, *jobs):
            done.result(30)
    rounds = [sorted(order[i : i + 2]) for i in (0, 3, 6)]
    assert rounds == [["a", "b"]] * 3
    assert [order[i] for i in (2, 5, 8)] == ["job"] * 3


def test_a_short_job_runs_before_all_that_waits(thread: WorkerThread) -> None:
    order: list[str] = []
    gate = threading.Event()

    def source() -> Iterator[None]:
        for _ in range(3):
            order.append("step")
            yield

    with ThreadPoolExecutor(8) as callers:
        first = callers.submit(thread.run, lambda: gate.wait(30))
        wait_until(first.running)
        waiting = [callers.submit(lambda: list(thread.stream(source)))]
        waiting += [callers.submit(thread.run, lambda: order.append("job")) for _ in range(3)]
        waiting += [callers.submit(thread.run, lambda: order.append("short"), short=True)]
        wait_until(lambda: [len(q) for q in (thread._steps, thread._jobs, thread._short_jobs)] == [1, 3, 1])
        gate.set()
        for done in waiting:
            done.result(30)
    assert order[0] == "short"


def test_a_question_does_not_wait_for_the_judging_of_others(pico_folder: Path) -> None:
    """What it needs before its first word (the model, its variants, the probe) runs before judgements that wait."""
    session, gate, order = keyword_session(pico_folder), threading.Event(), list[str]()
    session.start()
    session.load()
    thread = session._thread
    assert thread is not None

    def judge() -> None:
        time.sleep(0.2)
        order.append("judged")

    with ThreadPoolExecutor(8) as callers:
        held = callers.submit(thread.run, lambda: gate.wait(30))
        wait_until(held.running)
        judged = [callers.submit(thread.run, judge) for _ in range(6)]
        wait_until(lambda: len(thread._jobs) == 6)

        def ask() -> None:
            session.draws_harm("a prompt")
            for _ in session.ask("a prompt", ["base"], DecodingConfig(max_new_tokens=1)):
                order.append("answered")

        asked = callers.submit(ask)
        wait_until(lambda: len(thread._short_jobs) == 1)
        gate.set()
        for done in (*judged, asked):
            done.result(30)
    assert order.index("answered") <= 3, "at most one judgement before each of: probe, variants, first token"


def test_a_reader_that_leaves_closes_the_source(thread: WorkerThread) -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    made = thread.stream(source)
    next(made)
    made.close()
    assert closed.wait(5)


def test_visitors_of_a_started_session_share_the_batch(pico_folder: Path) -> None:
    """Their questions decode together, and each gets the answers that it gets alone."""
    config, prompts = DecodingConfig(max_new_tokens=40), [f"prompt {i}" for i in range(6)]
    session = keyword_session(pico_folder)
    expected = [session.answers([prompt], ["base"], config)[0].text for prompt in prompts]
    assert len(set(expected)) > 3, "equal answers would not show a mix-up"
    session.start()
    shapes, start = forward_shapes(session.load()), threading.Barrier(len(prompts))
    session.load().network.register_forward_pre_hook(lambda *_: time.sleep(0.02))  # steps of a real base are longer

    def asked(prompt: str) -> str:
        start.wait()
        *_, columns = session.ask(prompt, ["base"], config)
        assert columns[0].answer
        return columns[0].answer.text

    with ThreadPoolExecutor(len(prompts)) as callers:
        assert list(callers.map(asked, prompts)) == expected
    steps = [rows for rows, tokens in shapes if tokens == 1]
    assert sum(steps) == 39 * len(prompts), "no token was computed twice"
    assert len(steps) < 39 * len(prompts) / 2, "the questions did not share steps"


def test_a_started_session_computes_on_one_thread_and_answers_as_before(pico_folder: Path) -> None:
    config, prompts = DecodingConfig(max_new_tokens=6), [f"prompt {i}" for i in range(4)]
    plain, started = LiveSession(str(pico_folder)), keyword_session(pico_folder)
    expected = [plain.answers([prompt], ["base"], config)[0].text for prompt in prompts]
    started.start()
    seen: set[int] = set()
    started.load().network.register_forward_pre_hook(lambda *_: seen.add(threading.get_ident()))

    def asked(prompt: str) -> str:
        *_, last = started.ask(prompt, ["base"], config)
        started.verdicts(prompt, ["some text"])
        started.divergence(prompt, "some text", ["base"])
        started.lens(prompt, "some text", ["base"])
        assert last[0].answer
        return last[0].answer.text

    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(asked, prompts)) == expected
    assert len(seen) == 1
    assert started.answers(prompts[:1], ["base"], config)[0].text == expected[0]
