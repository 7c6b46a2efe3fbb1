"""An answer as a column shows it: what the model answered in the box, and above it what was written before."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sku.core.conversation import Turn
from sku.core.records import Answer
from sku.core.thinking import split_thinking
from sku.ui.compare.attack_choice import start_html


def answer_box_text(answer: Answer) -> str:
    """The answer without its reasoning."""
    return split_thinking(answer.text).answer


def above_answer_html(answer: Answer, earlier: Sequence[Turn] = ()) -> str:
    """The earlier turns and the reasoning, which are folded, and the beginning that an attack had written."""
    reasoning = _reasoning_html(split_thinking(answer.text).thinking)
    return earlier_html(earlier) + start_html(answer.answer_start) + reasoning


def earlier_html(turns: Sequence[Turn]) -> str:
    """The column's conversation before the prompt, folded; empty if there is none."""
    if not turns:
        return ""
    texts = "".join(f"<b>{html.escape(turn.prompt)}</b><pre>{html.escape(turn.answer)}</pre>" for turn in turns)
    count = "1 earlier turn" if len(turns) == 1 else f"{len(turns)} earlier turns"
    return f"<details class='earlier'><summary>show {count}, which may be harmful</summary>{texts}</details>"


def _reasoning_html(thinking: str) -> str:
    if not thinking:
        return ""
    summary = "reasoning, which is not judged"
    return f"<details class='reasoning'><summary>{summary}</summary><pre>{html.escape(thinking)}</pre></details>"
