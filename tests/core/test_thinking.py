"""Reasoning and answer are divided at the tags, wherever one is missing."""

from __future__ import annotations

import pytest

from sku.core.thinking import split_thinking


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nHm.\n</think>\n\nSo.", "Hm.", "So."),
        ("Hm.\n</think>\nSo.", "Hm.", "So."),
        ("<think>Hm, so", "Hm, so", ""),
        ("<think>\n\n</think>\n\nSo.", "", "So."),
        ("<reasoning>Hm.</reasoning>So.", "Hm.", "So."),
        (" So. ", "", " So. "),
        ("It is <think> and </think>.", "", "It is <think> and </think>."),
        ("", "", ""),
    ],
)
def test_reasoning_comes_before_the_answer(text: str, thinking: str, answer: str) -> None:
    assert split_thinking(text) == (thinking, answer)
