"""Divide what a reasoning model wrote into its reasoning and its answer."""

from __future__ import annotations

from typing import NamedTuple

OPEN, CLOSE = "<think>", "</think>"
_TAGS = ((OPEN, CLOSE), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"))


class Thought(NamedTuple):
    """A text in two parts; without reasoning, the first is empty and the second is the whole text."""

    thinking: str
    answer: str
    """Empty while the reasoning goes on, or if it was cut off."""


def split_thinking(text: str) -> Thought:
    """The reasoning at the beginning of a text, and the answer after it.

    A block may lack its first tag, which some chat templates write before the model does. A tag later in a text is
    part of the answer.
    """
    start = text.lstrip()
    for opened, closed in _TAGS:
        head, found, answer = start.partition(closed)
        if start.startswith(opened):
            return Thought(head.removeprefix(opened).strip(), answer.strip() if found else "")
        if found and opened not in head:
            return Thought(head.strip(), answer.strip())
    return Thought("", text)
