"""An answer as a column shows it: what the model answered in the box, and above it what was written before."""

from __future__ import annotations

import html

from sku.core.records import Answer
from sku.core.thinking import split_thinking
from sku.ui.compare.attack_choice import start_html


def answer_box_text(answer: Answer) -> str:
    """The answer without its reasoning."""
    return split_thinking(answer.text).answer


def above_answer_html(answer: Answer) -> str:
    """The beginning that an attack had written, and the reasoning, which is folded; empty if there is neither."""
    return start_html(answer.answer_start) + _reasoning_html(split_thinking(answer.text).thinking)


def _reasoning_html(thinking: str) -> str:
    if not thinking:
        return ""
    summary = "reasoning, which is not judged"
    return f"<details class='reasoning'><summary>{summary}</summary><pre>{html.escape(thinking)}</pre></details>"
