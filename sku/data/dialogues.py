"""Reads conversations: lists of turns as chat models' data sets publish them, and dialogues in one text.

A turn has a role and a content, or the names that other data sets give them (from, value, text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sku.core.conversation import MAX_TURNS, Conversation, Turn
from sku.core.jsonl import read_json, read_json_lines
from sku.core.text_lines import require_text

USER, SYSTEM = ("user", "human", "prompter"), ("system", "developer")
ASSISTANT = ("assistant", "gpt", "model", "bot", "chatgpt", "chatbot", "ai")
_ROLE_KEYS, _TEXT_KEYS = ("role", "from"), ("content", "value", "text")
_PARTS_KEYS = ("content", "parts")
_LIST_KEYS = ("messages", "conversations", "conversation")
_JSON_TURNS = re.compile(r"\s*\[\s*\{\s*\"")
_DIALOGUE = re.compile(r"\s*(Human|Assistant):\s*(.*?)(?=\n\nHuman:|\n\nAssistant:|\Z)", re.DOTALL)
"""One turn of a dialogue in one text, as in Anthropic's hh-rlhf."""


class Dialogue(NamedTuple):
    """A conversation, and the question at its end that has no answer yet."""

    conversation: Conversation
    open_question: str
    """Empty if the last turn is an answer."""


def read_turns(value: object) -> list[tuple[str, str]] | None:
    """Speakers and texts of a dialogue, in a list of turns, as JSON or in one text; None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("Human:"):
        return [(speaker.lower(), text) for speaker, text in _DIALOGUE.findall(value)]
    if isinstance(value, str) and _JSON_TURNS.match(value):  # in a cell of a CSV file
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    value = _list_in(value)
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        return None
    return [(_value_of(turn, _ROLE_KEYS).lower(), _content(turn)) for turn in turns]


def dialogue_of(turns: Sequence[tuple[str, str]]) -> Dialogue:
    """The questions and answers among the turns.

    Turns of the same speaker in a row become one, on lines of their own. What comes before the first question counts
    only if it is a system prompt, and turns of other speakers, such as tools, are left out.
    """
    system = "\n".join(text.strip() for speaker, text in turns if speaker in SYSTEM)
    texts: list[list[str]] = []
    for speaker, text in turns:
        if speaker in USER + ASSISTANT:
            is_answer = speaker in ASSISTANT
            if not texts and is_answer:
                continue
            if len(texts) % 2 == is_answer:  # an even number of texts waits for a question, an odd one for an answer
                texts.append([text.strip()])
            else:
                texts[-1].append(text.strip())
    joined = ["\n".join(filter(None, one)) for one in texts]  # a call of a tool has no text
    answered = tuple(Turn(*pair) for pair in zip(joined[::2], joined[1::2], strict=False))
    return Dialogue(Conversation(system, answered), joined[-1] if len(joined) % 2 else "")


def read_history(value: object) -> tuple[Turn, ...] | None:
    """The turns in a list of [question, answer] pairs, as JSON too, or in a list of turns; None for anything else."""
    pairs = from_json(value)
    if not isinstance(pairs, list):
        return None
    if all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs):
        return tuple(Turn(question.strip(), answer.strip()) for question, answer in pairs)
    found = dialogue_of(read_turns(pairs) or [])
    return found.conversation.turns if found.conversation.turns and not found.open_question else None


def answers_in(value: object) -> list[str] | None:
    """The texts of several answers to one question; None for anything else, such as one text or turns.

    They are a list of texts or of objects that hold one, or an object with such a list (SQuAD) or the best (TriviaQA).
    """
    if isinstance(value, dict) and not any(key in value for key in _ROLE_KEYS):
        value = value.get("text", value.get("value"))
        value = [value] if isinstance(value, str) else value
    if not isinstance(value, list):
        return None
    texts = [
        one.get("text") if isinstance(one, dict) and not any(key in one for key in _ROLE_KEYS) else one for one in value
    ]
    written = [text for text in texts if isinstance(text, str)]
    return [text for text in written if text.strip()] if len(written) == len(texts) else None


def is_history(value: object) -> bool:
    """Whether a cell holds a list, as earlier turns do."""
    return isinstance(from_json(value), list)


def from_json(value: object) -> object:
    """What a cell of a CSV file holds as JSON; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def read_dialogue(path: Path) -> Dialogue:
    """Read one conversation from a file: a JSON list of turns, an object that holds one, or one turn a line (JSONL).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds anything else, or too long a conversation.
    """
    turns = read_turns(_turns_in(path))
    if turns is None or (not any(speaker in USER for speaker, _ in turns) and not any(s in SYSTEM for s, _ in turns)):
        raise ValueError(
            f"{path.name} holds no conversation; it must be a JSON list of turns such as "
            '{"role": "user", "content": "..."}, or JSONL with one turn a line'
        )
    for speaker, text in turns:
        require_text(text, f"{path.name}, a turn of {speaker!r}")
    found = dialogue_of(turns)
    if not all(question.strip() for question in found.conversation.questions):
        raise ValueError(f"{path.name} has a question without text; write one or leave out the turn")
    if len(found.conversation.turns) > MAX_TURNS:
        raise ValueError(
            f"{path.name} has {len(found.conversation.turns)} answered questions; at most {MAX_TURNS} may come before "
            "a question, so leave out the oldest"
        )
    return found


def _turns_in(path: Path) -> object:
    if path.name.lower().endswith(".jsonl"):
        lines = [dict(line.values) for line in read_json_lines(path, f"{path.name}, line")]
        return _list_in(lines[0]) if len(lines) == 1 else lines
    return _list_in(read_json(path, path.name))


def _list_in(value: object) -> object:
    """The list of turns in an object that holds one under a well-known name; any other value as it is."""
    if isinstance(value, dict):
        return next((value[key] for key in _LIST_KEYS if isinstance(value.get(key), list)), value)
    return value


def _value_of(turn: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((str(turn[key]) for key in keys if isinstance(turn.get(key), str)), "")


def _content(turn: Mapping[str, object]) -> str:
    """The text of a turn, which may be in parts, as for models that also see pictures."""
    parts = next((turn[key] for key in _PARTS_KEYS if isinstance(turn.get(key), list)), None)
    if isinstance(parts, list):
        return "\n".join(_value_of(part, _TEXT_KEYS) for part in parts if isinstance(part, dict))
    return _value_of(turn, _TEXT_KEYS)
