"""Sessions that stand before another one pass every ability on, and say which one answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation
from sku.core.records import Answer, Verdict
from sku.serving.fallback_session import FallbackSession
from sku.serving.live_session import LiveSession
from sku.serving.recorded_session import RecordedSession, record_line
from sku.serving.session import Session, SessionStatus
from sku.serving.zerogpu_session import ZeroGpuSession

GREEDY = DecodingConfig(max_new_tokens=8)
ROLE = ChosenAttack("wrapper-role")
BEFORE = Conversation("Be brief.")
CALLS: dict[str, tuple[Any, ...]] = {
    "choices": ("me",),
    "ask": ("Why?", ["base"], GREEDY, lambda: False, ROLE, [BEFORE]),
    "answers": (["Why?"], ["base"], GREEDY, ROLE, [BEFORE]),
    "verdicts": ("Why?", ["Because."]),
    "draws_harm": ("Why?",),
    "divergence": ("Why?", "Because.", ["base"], BEFORE),
    "lens": ("Why?", "Because.", ["base"], BEFORE),
    "zero_difference": ("sku", "Why?"),
}


def mocked_live() -> Mock:
    live: Mock = create_autospec(LiveSession, instance=True)
    live.status, live.model_name = SessionStatus("live", ready=True), "m"
    return live


def refused(*, duration: Callable[..., int]) -> Callable[[Any], Any]:
    """A GPU that nobody gets."""

    def decorate(task: Any) -> Any:
        def call(*_: Any) -> Any:
            raise RuntimeError("no GPU is free")
            yield

        return call

    return decorate


def test_the_calls_below_are_all_abilities_of_a_session() -> None:
    abilities = {name for name in vars(Session) if not name.startswith("_")}
    assert {*CALLS, "status", "model_name"} == abilities


@pytest.mark.parametrize("ability", CALLS)
def test_the_fallback_passes_every_ability_to_the_one_that_answers(ability: str) -> None:
    live, recorded = mocked_live(), mocked_live()
    session = FallbackSession(live, recorded)
    for answering, error in ((live, None), (recorded, "no network")):
        live.status = SessionStatus("live", ready=False, error=error)
        assert getattr(session, ability)(*CALLS[ability]) is getattr(answering, ability).return_value
        getattr(answering, ability).assert_called_once_with(*CALLS[ability])


@pytest.mark.parametrize("ability", CALLS)
def test_without_a_gpu_the_live_session_does_everything(ability: str) -> None:
    live = mocked_live()
    live.ask.return_value = iter(["columns"])
    session = ZeroGpuSession(live, refused)
    found = getattr(session, ability)(*CALLS[ability])
    assert list(found) == ["columns"] if ability == "ask" else found is getattr(live, ability).return_value
    getattr(live, ability).assert_called_once_with(*CALLS[ability])
    assert session.model_name == "m"
    assert session.status == SessionStatus("live", True, fallback_reason="no GPU is free" if ability == "ask" else "")


def test_the_record_steps_in_when_the_weights_cannot_be_had(tmp_path: Path) -> None:
    path, answer = tmp_path / "answers.jsonl", Answer("base", 0.0, "Why?", 0, 0, "Because.", 3, 1.0, "end")
    path.write_text(record_line("m", "f", answer, Verdict("safe", 0.1, "talks", "embedded-2"), 0.0), encoding="utf-8")
    live = LiveSession("no-such-model")
    session = FallbackSession(live, RecordedSession(path))
    assert (session.status.mode, session.status.progress) == ("live", "not started")
    live.error = "no network"
    assert session.status == SessionStatus("recorded", ready=True, fallback_reason="no network")
    assert session.model_name == "m"
    assert next(session.ask("Why?", ["base"], GREEDY))[0].answer == answer


def test_without_a_record_the_error_of_the_weights_is_shown(tmp_path: Path) -> None:
    live = LiveSession("no-such-model")
    live.error = "no network"
    session = FallbackSession(live, RecordedSession(tmp_path / "none.jsonl"))
    assert session.status == SessionStatus("live", ready=False, progress="not started", error="no network")
    assert session.model_name == "no-such-model"
