"""What comes before a question: a system prompt, and earlier questions with the answers that they got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_TURNS = 8
"""The number of earlier questions that a conversation may have on the page, in a link and in a file."""


@dataclass(frozen=True)
class Turn:
    """An earlier question and its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """A conversation up to the question that is asked next."""

    system: str = ""
    """The system prompt; empty leaves the one that the chat template has, if any."""
    turns: tuple[Turn, ...] = ()
    """Oldest first."""

    def __bool__(self) -> bool:
        """Whether anything comes before the question."""
        return bool(self.system or self.turns)

    @property
    def questions(self) -> tuple[str, ...]:
        """The earlier questions."""
        return tuple(turn.prompt for turn in self.turns)

    def continued(self, prompt: str, answer: str) -> Conversation:
        """The conversation with one more turn."""
        return Conversation(self.system, (*self.turns, Turn(prompt, answer)))


NO_CONVERSATION = Conversation()
"""Before the first question, without a system prompt."""


def judged_prompt(earlier: Sequence[str], prompt: str) -> str:
    """The text that stands for the prompt when an answer is judged: all questions, because the last may say little."""
    return "\n".join([*earlier, prompt])
