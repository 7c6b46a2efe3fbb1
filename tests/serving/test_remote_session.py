"""Models behind servers beside local ones: columns stream together, and a server that fails leaves the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation, Turn
from sku.core.servers import Server
from sku.serving.live_session import LiveSession
from sku.serving.recorded_session import RecordedSession, record_line
from sku.serving.remote_session import RemoteSession
from tests.openai_server import Told, told

__all__ = ["told"]
SHORT = DecodingConfig(max_new_tokens=8)


@pytest.fixture
def both(live: LiveSession, told: Told) -> RemoteSession:
    return RemoteSession(live)


def test_columns_of_both_kinds_grow_together(both: RemoteSession, live: LiveSession, told: Told) -> None:
    told.seconds = 0.2
    names = ["server:toy", "one@1", "base"]
    states = list(both.ask("Why?", names, SHORT))
    last = states[-1]
    assert [column.name for column in last] == names
    assert not any(column.writing or column.error for column in last)
    assert last[0].answer is not None
    assert (last[0].answer.text, last[0].answer.variant) == ("You said Why? (greedy).", "server:toy")
    (*_, alone) = live.ask("Why?", names[1:], SHORT)
    assert [c.answer.text for c in last[1:] if c.answer] == [c.answer.text for c in alone if c.answer]
    assert any(state[0].writing for state in states)


def test_a_server_that_fails_leaves_the_others(both: RemoteSession, told: Told) -> None:
    told.faults = [400]
    (*_, last) = both.ask("Why?", ["base", "server:toy", "server:nobody"], SHORT)
    assert last[0].answer is not None
    assert "refuses the request" in str(last[1].error)
    assert "server 'nobody' is not known; choose one of 'toy'" in str(last[2].error)


def test_samples_are_asked_with_seeds_of_their_own(both: RemoteSession, told: Told) -> None:
    hot = DecodingConfig(max_new_tokens=8, temperature=1.0, samples=3)
    (*_, last) = both.ask("Why?", ["server:toy"], hot)
    assert len({answer.text for answer in last[0].samples}) == 3
    listed = both.answers(["Why?", "How?"], ["base", "server:toy", "one@1"], hot)
    assert [(a.prompt, a.variant, a.sample) for a in listed] == [
        (prompt, name, i) for prompt in ("Why?", "How?") for name in ("base", "server:toy", "one@1") for i in range(3)
    ]
    texts = [answer.text for answer in listed if answer.variant == "server:toy" and answer.prompt == "Why?"]
    assert texts == [answer.text for answer in last[0].samples], "streamed or not, the same seeds are sent"


def test_without_local_variants_no_weights_are_loaded(told: Told, tmp_path: Path) -> None:
    session = RemoteSession(LiveSession(str(tmp_path / "nothing")))
    (answer,) = session.answers(["Why?"], ["server:toy"], SHORT)
    assert answer.tokens == 4


def test_an_attack_on_the_prompt_is_worded_and_one_on_weights_is_refused(both: RemoteSession, told: Told) -> None:
    (*_, last) = both.ask("Why?", ["server:toy", "base"], SHORT, attack=ChosenAttack("wrapper-novel"))
    assert last[0].answer is not None
    assert last[0].answer.attack == "wrapper-novel"
    assert last[0].answer.prompt == "Why?"
    assert "I am writing a novel" in told.requests[-1]["messages"][0]["content"]
    (*_, last) = both.ask("Why?", ["server:toy"], SHORT, attack=ChosenAttack("int4"))
    assert "are on another machine" in str(last[0].error)


def test_a_visitor_who_leaves_ends_the_stream(both: RemoteSession, told: Told) -> None:
    told.seconds = 0.1
    stream = both.ask("Why?", ["server:toy"], SHORT)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    (*_, last) = both.ask("Why?", ["server:toy"], SHORT, cancelled=lambda: True)
    assert last[0].answer is not None
    assert last[0].answer.stopped == "cancelled"


def test_what_a_server_cannot_say_is_none(both: RemoteSession) -> None:
    kl = both.divergence("Why?", "Because.", ["server:toy", "one@1", "base"])
    assert kl[0] is None
    assert kl[2] == 0
    assert set(both.lens("Why?", "Because.", ["server:toy", "one@1"]).changes) == {"one@1"}
    with pytest.raises(ValueError, match="no weights on this machine"):
        both.zero_difference("server:toy", "Why?")
    with pytest.raises(ValueError, match="needs weights"):
        both._session.answers(["Why?"], ["server:toy"], SHORT)


def test_the_list_offers_servers_and_recorded_ones(both: RemoteSession, told: Told, tmp_path: Path) -> None:
    assert [(c.name, c.method) for c in both.choices()][-1] == ("server:toy", "remote")
    (answer,) = both.answers(["Why?"], ["server:toy"], SHORT)
    (verdict,) = both.verdicts("Why?", [answer.text])
    path = tmp_path / "answers.jsonl"
    path.write_text(record_line("pico", "f", answer, verdict, None), encoding="utf-8")
    recorded = RemoteSession(RecordedSession(path), {})
    assert [c.name for c in recorded.choices()] == ["base", "server:toy"]
    (column,) = list(recorded.ask("Why?", ["server:toy"], SHORT))[-1]
    assert column.answer == answer
    assert recorded.divergence("Why?", answer.text, ["server:toy"]) == [None]


def test_an_empty_prompt_is_refused_before_anybody_is_asked(both: RemoteSession, told: Told) -> None:
    with pytest.raises(ValueError, match="prompt is empty"):
        list(both.ask(" ", ["server:toy", "base"], SHORT))
    assert RemoteSession(both._session, {"x": Server("http://a/v1", name="x")}).choices()[-1].label == "x (server)"
    assert not told.requests


def test_a_conversation_is_sent_as_messages_and_each_column_continues_its_own(both: RemoteSession, told: Told) -> None:
    before = [Conversation("Be brief.", (Turn("Why?", said),)) for said in ("You said so.", "I do not know.")]
    (*_, last) = both.ask("And then?", ["server:toy", "one@1"], SHORT, before=before)
    assert not any(column.error for column in last)
    assert told.requests[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "You said so."},
        {"role": "user", "content": "And then?"},
    ]
    listed = both.answers(["And then?"], ["one@1", "server:toy"], SHORT, before=before[::-1])
    assert [answer.text for answer in listed] == [last[i].answer.text for i in (1, 0) if last[i].answer]  # type: ignore[union-attr]


def test_a_server_of_plain_text_refuses_a_conversation(live: LiveSession, told: Told) -> None:
    session = RemoteSession(live, {"plain": Server(told.url, "toy", api="text", name="plain")})
    (*_, last) = session.ask("Why?", ["server:plain"], SHORT, before=[Conversation("Be brief.")])
    assert "has no conversation; ask a first question" in str(last[0].error)
