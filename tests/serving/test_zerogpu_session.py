"""A GPU that is assigned by the call. `spaces` runs only on its host; a stand-in forks and pickles as it does."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from sku.core.config import DecodingConfig
from sku.serving import zerogpu_session
from sku.serving.live_session import LiveSession
from sku.serving.zerogpu_session import ZeroGpuSession

CONFIG = DecodingConfig(max_new_tokens=12)


class Lender:
    """What `spaces.GPU` does: one worker, forked at the first call and kept; arguments and results cross by pickle."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.refused: Exception | None = None
        self.dies_after: int | None = None
        self.given_up = 0
        self._pipe: Any = None
        self.worker: Any = None

    def __call__(self, *, duration: Callable[..., int]) -> Callable[..., Any]:
        def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any) -> Iterator[Any]:
                self.asked.append(duration(*args))
                if self.refused:
                    raise self.refused
                if self._pipe is None:
                    self._pipe, theirs = multiprocessing.Pipe()
                    fork = multiprocessing.get_context("fork")
                    self.worker = fork.Process(target=_work, args=(task, theirs), daemon=True)
                    self.worker.start()
                self._pipe.send(args)
                seen = 0
                while (result := self._pipe.recv()) is not None:
                    if isinstance(result, str) or seen == self.dies_after:
                        raise RuntimeError("GPU task aborted")
                    seen += 1
                    try:
                        yield result
                    except GeneratorExit:
                        self.given_up += 1
                        while self._pipe.recv() is not None:
                            pass
                        raise

            return call

        return decorate


def _work(task: Callable[..., Any], pipe: Any) -> None:
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    while True:
        args = pipe.recv()
        try:
            for result in task(*args):
                pipe.send(result)
        except Exception as error:
            pipe.send(str(error))
        pipe.send(None)


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lender]:
    monkeypatch.setattr(zerogpu_session, "GPU_DEVICE", "cpu")
    made = Lender()
    yield made
    if made.worker:  # it holds every pipe that this process had open: whoever waits for their end waits for it
        made.worker.kill()
        made.worker.join()


def texts(session: Any, *variants: str, **more: Any) -> list[str | None]:
    *_, last = session.ask("Why?", variants, CONFIG, **more)
    return [column.answer.text if column.answer else column.error for column in last]


def test_the_worker_writes_what_would_be_written_here(live: LiveSession, lender: Lender) -> None:
    session = ZeroGpuSession(live, lender)
    got = texts(session, "base", "one@1"), texts(session, "two@2")
    assert lender.asked == [11, 11], "a little more than a second for twelve tokens, and ten to start"
    assert live.load().adapters == (), "the worker loads what it needs, even what came after the fork"
    assert got == (texts(live, "base", "one@1"), texts(live, "two@2"))
    assert session.status.fallback_reason == ""


def test_the_worker_of_a_started_session_writes_by_itself(live: LiveSession, lender: Lender) -> None:
    """The thread that computes stays behind at the fork."""
    expected = texts(live, "base", "one@1")
    live.start()
    session = ZeroGpuSession(live, lender)
    assert texts(session, "base", "one@1") == expected
    assert session.status.fallback_reason == ""
    assert texts(live, "base", "one@1") == expected, "and here the thread goes on"


def test_a_fault_of_one_variant_leaves_the_others(live: LiveSession, lender: Lender) -> None:
    base, missing = texts(ZeroGpuSession(live, lender), "base", "nobody@1")
    assert base == texts(live, "base")[0]
    assert "nobody" in str(missing)


def test_two_sessions_of_one_process_do_not_mix(live: LiveSession, lender: Lender) -> None:
    other = LiveSession("no-such-model")
    session = ZeroGpuSession(live, lender)
    ZeroGpuSession(other, lender)
    assert texts(session, "one@1") == texts(live, "one@1")
    assert session.status.fallback_reason == ""


def test_without_quota_it_is_written_here_and_said(live: LiveSession, lender: Lender) -> None:
    session = ZeroGpuSession(live, lender)
    lender.refused = RuntimeError("You have exceeded your GPU quota")
    assert texts(session, "one@1") == texts(live, "one@1")
    assert "quota" in session.status.fallback_reason
    lender.refused = None
    texts(session, "base")
    assert session.status.fallback_reason == ""


def test_a_question_that_is_refused_is_refused_as_on_the_cpu(live: LiveSession, lender: Lender) -> None:
    with pytest.raises(ValueError, match="the model holds"):
        list(ZeroGpuSession(live, lender).ask("x" * 600, ["base"], CONFIG))


def test_a_worker_that_dies_in_the_middle_is_an_error_not_two_answers(live: LiveSession, lender: Lender) -> None:
    session = ZeroGpuSession(live, lender)
    lender.dies_after = 1
    with pytest.raises(OSError, match="ask again"):
        list(session.ask("Why?", ["base"], CONFIG))


def test_stop_reaches_the_worker(live: LiveSession, lender: Lender) -> None:
    session = ZeroGpuSession(live, lender)
    *_, last = session.ask("Why?", ["base"], CONFIG, lambda: True)
    assert not last[0].writing
    assert lender.given_up == 1
    assert texts(session, "base") == texts(live, "base"), "the worker is free again"


def test_a_fork_waits_for_the_forward_that_is_under_way(live: LiveSession, lender: Lender) -> None:
    session, order = ZeroGpuSession(live, lender), []
    inside, go = threading.Event(), threading.Event()

    def forward() -> None:
        with live.load().rows([{}]):
            inside.set()
            go.wait(20)
            order.append("forward")

    thread = threading.Thread(target=forward)
    thread.start()
    inside.wait(20)
    threading.Timer(0.3, go.set).start()
    assert texts(session, "base")
    order.append("worker")
    thread.join()
    assert order == ["forward", "worker"]


@pytest.mark.parametrize(("value", "offered"), [("true", True), ("1", True), ("", False), ("0", False)])
def test_only_a_space_that_lends_is_asked(value: str, offered: bool) -> None:
    assert zerogpu_session.zerogpu_offered({"SPACES_ZERO_GPU": value}) is offered
    assert not zerogpu_session.zerogpu_offered({})
