"""Conversations in files: what counts as a question, as an answer, and as none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sku.core.conversation import Conversation, Turn
from sku.data.dialogues import dialogue_of, read_dialogue

Write = Callable[[str, str], Path]
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "I."},
    {"role": "user", "content": "Why?"},
]
SPOKEN = Conversation("Be brief.", (Turn("Who?", "I."),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(TURNS)),
        ("a.json", json.dumps({"messages": TURNS})),
        ("a.jsonl", "\n".join(map(json.dumps, TURNS))),
        ("a.jsonl", json.dumps({"conversations": [{"from": t["role"], "value": t["content"]} for t in TURNS]})),
    ],
    ids=["list", "object", "a turn a line", "one line"],
)
def test_a_conversation_is_read_from_every_common_form(write: Write, name: str, text: str) -> None:
    assert read_dialogue(write(name, text)) == (SPOKEN, "Why?")


def test_turns_of_one_speaker_in_a_row_are_one_and_a_greeting_before_the_first_question_is_none() -> None:
    turns = [("assistant", "Hello!"), ("user", "Who"), ("user", "are you?"), ("tool", "42"), ("assistant", "I.")]
    assert dialogue_of(turns) == (Conversation("", (Turn("Who\nare you?", "I."),)), "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no conversation"),
        ('"Who?"', "holds no conversation"),
        ('[{"role": "tool", "content": "42"}]', "holds no conversation"),
        ('[{"role": "user", "content": " "}, {"role": "assistant", "content": "I."}]', "a question without text"),
        (json.dumps(TURNS[1:3] * 9), "has 9 answered questions; at most 8"),
        ('[{"role": "user", "content": "\\ud83d"}]', "a turn of 'user', character 1"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(write: Write, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_dialogue(write("a.json", text))


def test_a_missing_conversation_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no file '.*no.json'; check the path$"):
        read_dialogue(tmp_path / "no.json")
