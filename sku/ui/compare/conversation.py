"""The conversation before the prompt: a system prompt and earlier questions. Each column has its own answers to them.

"Follow up" moves the prompt that was just answered into the conversation and empties the box for the next question. A
column whose variant has not answered an earlier question yet is asked it first (`asking.py`).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from sku.core.conversation import MAX_TURNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.events import UNCHANGED, Updates
from sku.ui.messages import inform

FOCUS_PROMPT = "() => { document.querySelector('#prompt textarea, #prompt input')?.focus(); }"
"""Puts the cursor into the box of the prompt."""
RESTART_LABEL = "New conversation"
_MAX_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class ConversationControls:
    """What the next question is asked after."""

    system: gr.Textbox
    earlier: gr.State
    """The earlier questions, oldest first."""
    follow_up: gr.Button
    row: gr.Row
    """Hidden while nothing comes before the prompt."""
    line: gr.HTML
    restart: gr.Button

    def hold(self, system: str, earlier: Sequence[str]) -> Updates:
        """Updates that restore a conversation. Its change events then show it."""
        return {self.system: system, self.earlier: tuple(earlier)}

    def show(self, system: str, earlier: Sequence[str]) -> Updates:
        """Updates that show the conversation in a line above the columns."""
        return {
            self.row: gr.Row(visible=bool(system or earlier)),
            self.line: conversation_html(system, earlier),
            self.restart: gr.Button(RESTART_LABEL, visible=bool(earlier)),
        }


def conversation_html(system: str, earlier: Sequence[str]) -> str:
    """The system prompt and the earlier questions, in one line each."""
    lines = [f"<b>System prompt:</b> {_shortened(system)}"] if system else []
    if earlier:
        questions = " → ".join(f"<span>{i} {_shortened(text)}</span>" for i, text in enumerate(earlier, 1))
        lines.append(f"<b>Conversation:</b> {questions} → <i>the next question</i>")
    return "".join(f"<p>{line}</p>" for line in lines)


def follow_up(shown: ShownAnswers) -> tuple[object, object]:
    """The earlier questions with the one that was just answered, and an empty prompt."""
    if not shown.prompt or not shown.columns:
        inform("Ask a first question, then follow up on its answers.")
        return UNCHANGED, UNCHANGED
    if len(shown.earlier) >= MAX_TURNS:
        inform(f"A conversation may have {MAX_TURNS} questions before the newest. Start a new one.")
        return UNCHANGED, UNCHANGED
    return (*shown.earlier, shown.prompt), ""


def _shortened(text: str) -> str:
    """The text on one line, escaped; all of it is shown on hover."""
    line = " ".join(text.split())
    short = line if len(line) <= _MAX_SHOWN_CHARACTERS else line[:_MAX_SHOWN_CHARACTERS] + "..."
    return f"<span title='{html.escape(text, quote=True)}'>{html.escape(short)}</span>"
