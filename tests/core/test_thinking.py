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
        ("<Think>Hm.</THINK>So.", "Hm.", "So."),
        ('<thinking type="deep">Hm.</thinking>So.', "Hm.", "So."),
        ("<seed:think>Hm.</seed:think>So.", "Hm.", "So."),
        ("<thought>Hm.</thought>\nSo.", "Hm.", "So."),
        ("[THINK]Hm.[/THINK]So.", "Hm.", "So."),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7So.", "Hm.", "So."),
        (
            "<|begin_of_thought|>Hm.<|end_of_thought|>\n<|begin_of_solution|>So.<|end_of_solution|>",
            "Hm.",
            "So.",
        ),
        ("<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>So.", "Hm.", "So."),
        ("analysisHm.assistantfinalSo.", "Hm.", "So."),
        ("analysisHm, so", "Hm, so", ""),
        ("<think>One.</think>\n<think>Two.</think>\nSo.", "One.\nTwo.", "So."),
        ("<think>One.</think><think>Two", "One.\nTwo", ""),
        ("<think>One <think>two</think> three.</think>So.", "One <think>two</think> three.", "So."),
        ("<think>One <think>two</think>So.", "One <think>two", "So."),
        ("\ufeff<think>Hm.</think>So.", "Hm.", "So."),
        ("<think>Hm.</think><answer>So.</answer>", "Hm.", "So."),
        ("<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>So.<|END_RESPONSE|>", "Hm.", "So."),
        ('<details type="reasoning" done="true">Hm.</details>So.', "Hm.", "So."),
        ("Hm.[/THINK]So.", "Hm.", "So."),
        ("analysis of data.", "", "analysis of data."),
        ("<b>So.</b>", "", "<b>So.</b>"),
        (" So. ", "", " So. "),
        ("It is <think> and </think>.", "", "It is <think> and </think>."),
        ("", "", ""),
    ],
)
def test_reasoning_comes_before_the_answer(text: str, thinking: str, answer: str) -> None:
    assert split_thinking(text) == (thinking, answer)
