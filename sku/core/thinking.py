"""Divide what a reasoning model wrote into its reasoning and its answer."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from sku.core.text_lines import INVISIBLE

OPEN, CLOSE = "<think>", "</think>"
_BLOCKS = tuple(
    (re.compile(opened, flags), re.compile(closed, flags))
    for opened, closed, flags in (
        *(
            (rf"<{name}(?:\s[^<>]{{0,80}})?>", f"</{name}>", re.IGNORECASE)
            for name in (
                "think",
                "seed:think",
                "thinking",
                "antthinking",
                "thoughts?",
                "reasoning",
                "scratchpad",
                "analysis",
                "reflection",
            )
        ),
        (r"\[THINK\]", r"\[/THINK\]", 0),  # Magistral
        (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>", 0),  # Command A
        (r'<details type="reasoning"[^<>]{0,80}>', "</details>", 0),  # as Open WebUI exports it
        ("\u25c1think\u25b7", "\u25c1/think\u25b7", 0),  # Kimi
        (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>", 0),  # Sky-T1
        (r"<\|channel\|>analysis<\|message\|>", r"<\|channel\|>final<\|message\|>", 0),  # gpt-oss
        (r"analysis(?=[A-Z])", "assistantfinal", 0),  # gpt-oss without its control tokens
    )
)
"""How reasoning models mark where their reasoning begins and ends."""
_SOLUTION_MARKS = re.compile(r"<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_RESPONSE\|>|^<answer>|</answer>$")
_MAX_NESTED_BLOCKS = 8


class Thought(NamedTuple):
    """A text in two parts; without reasoning, the first is empty and the second is the whole text."""

    thinking: str
    answer: str
    """Empty while the reasoning goes on, or if it was cut off."""


def split_thinking(text: str) -> Thought:
    """The reasoning at the beginning of a text, and the answer after it.

    There may be several blocks. The first may lack its first tag, which some chat templates write before the model
    does. A tag later in a text is part of the answer.
    """
    thoughts, rest = [], text.lstrip().lstrip(INVISIBLE)
    while block := _block_at_start(rest):
        thoughts.append(block.thinking)
        rest = block.answer
    if thoughts:
        return Thought("\n".join(filter(None, thoughts)), _SOLUTION_MARKS.sub("", rest).strip())
    for opened, closed in _BLOCKS:
        found = closed.search(rest)
        if found and not opened.search(rest, 0, found.start()):
            return Thought(rest[: found.start()].strip(), rest[found.end() :].strip())
    return Thought("", text)


def _end_of_block(text: str, start: int, opened: re.Pattern[str], closed: re.Pattern[str]) -> re.Match[str] | None:
    """The tag that closes the block that begins before `start`: reasoning may quote a whole block."""
    ends = None
    for blocks, ends in enumerate(itertools.islice(closed.finditer(text, start), _MAX_NESTED_BLOCKS), 1):
        if sum(1 for _ in opened.finditer(text, start, ends.start())) < blocks:
            break
    return ends


def _block_at_start(text: str) -> Thought | None:
    """The block of reasoning that a text begins with, and what follows; None if it begins with none."""
    for opened, closed in _BLOCKS:
        if begins := opened.match(text):
            ends = _end_of_block(text, begins.end(), opened, closed)
            thinking = text[begins.end() : ends.start() if ends else None].strip()
            return Thought(thinking, text[ends.end() :].lstrip() if ends else "")
    return None
