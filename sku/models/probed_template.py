"""A chat template, tried once: does it render a question and an answer, whole, once each, and what does it put after?

A template is a program that comes with a model. It may raise, be no Jinja, want a system turn or a list of parts, drop
the question, or open a block of reasoning. What cannot be used is said in one sentence when the model is loaded. Needs
a transformers tokenizer; no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.thinking import CLOSE, OPEN

_PROMPT, _ANSWER, _NEXT, _SYSTEM = "Zq7xpromptq7Z", "Zq7xanswerq7Z", "Zq7xnextq7Z", "Zq7xsystemq7Z"
"""Words that no template contains, whatever its tags are called."""
_MAX_SHOWN_CHARACTERS = 160
_ADVICE = "correct chat_template in its folder, or remove it there to ask in the form '### Question: ... ### Answer:'"


@dataclass(frozen=True)
class ProbedTemplate:
    """A chat template that renders questions and answers."""

    tokenizer: Any
    in_parts: bool
    """Whether it reads a message as a list of parts, as templates of models that see pictures do."""
    closing: str = ""
    """What it writes after an answer, without white space around it."""
    next_turn: str = ""
    """What it writes between an answer and a next question, where nothing closes the answer."""
    opening: str = ""
    """A block of reasoning that it opens before the answer, such as `<think>`; the model closes it."""
    takes_system: bool = False
    """Whether it renders a system prompt."""
    takes_turns: bool = False
    """Whether it renders a second question after an answer."""

    def render_question(self, prompt: str, before: Conversation = NO_CONVERSATION) -> str:
        """The text up to where the model's answer to `prompt` begins.

        Raises:
            ValueError: if the template has no place for the system prompt or for earlier turns.
        """
        if before.system and not self.takes_system:
            raise ValueError(f"{_named(self.tokenizer)} has no place for a system prompt; leave it empty")
        if before.turns and not self.takes_turns:
            raise ValueError(f"{_named(self.tokenizer)} takes one question only; start a new conversation")
        earlier = (text for turn in before.turns for text in (turn.prompt, turn.answer))
        return self.render(*earlier, prompt, system=before.system)

    def render(self, *turns: str, generate: bool = True, system: str = "") -> str:
        """The text of questions and answers in turn.

        Args:
            turns: the first question, its answer, the next question and so on.
            generate: whether to end where the model's answer begins.
            system: the system prompt; empty leaves the template's own.

        Raises:
            ValueError: if the template raises; the message says what it says.
        """
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": self._content(text)} for i, text in enumerate(turns)]
        if system:
            messages.insert(0, {"role": "system", "content": self._content(system)})
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=generate, tokenize=False, enable_thinking=False
            )  # answers are short here: a model that may think first would do nothing else
        except Exception as error:  # a program from outside may raise anything
            raise ValueError(
                f"{_named(self.tokenizer)} refuses a question without more: {_shown(error)}; {_ADVICE}"
            ) from error
        return rendered

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self.in_parts else text


def probe_template(tokenizer: Any) -> ProbedTemplate:
    """The tokenizer's chat template, if it can be used.

    Raises:
        ValueError: if it raises, is no template, drops the question or the answer, or writes one of them twice.
    """
    template = ProbedTemplate(tokenizer, in_parts=False)
    if _PROMPT not in template.render(_PROMPT):
        template = ProbedTemplate(tokenizer, in_parts=True)
    asked = template.render(_PROMPT)
    _require_once(asked, _PROMPT, "the question", tokenizer)
    whole = template.render(_PROMPT, _ANSWER, generate=False)
    _require_once(whole, _PROMPT, "the question", tokenizer)
    _require_once(whole, _ANSWER, "the answer", tokenizer)
    closing = whole.rpartition(_ANSWER)[2].strip()
    two = _rendered(template, _PROMPT, _ANSWER, _NEXT)
    return ProbedTemplate(
        tokenizer,
        template.in_parts,
        closing,
        "" if closing else _between(two),
        _opened_reasoning(asked.rpartition(_PROMPT)[2]),
        takes_system=_in_order(_rendered(template, _PROMPT, system=_SYSTEM), _SYSTEM, _PROMPT),
        takes_turns=_in_order(two, _PROMPT, _ANSWER, _NEXT),
    )


def _rendered(template: ProbedTemplate, *turns: str, system: str = "") -> str:
    """The text of a conversation; empty if the template refuses it."""
    try:
        return template.render(*turns, system=system)
    except ValueError:
        return ""


def _in_order(text: str, *words: str) -> bool:
    """Whether `text` holds each word once, one after the other."""
    places = [text.find(word) for word in words]
    return min(places) >= 0 and places == sorted(places) and all(text.count(word) == 1 for word in words)


def _between(text: str) -> str:
    """What stands between an answer and a next question; nothing if the template takes no second question."""
    between = text.rpartition(_ANSWER)[2].partition(_NEXT)[0]
    return between.rstrip() if between.strip() else ""


def _opened_reasoning(before_answer: str) -> str:
    _, opened, after = before_answer.rpartition(OPEN)
    return f"{opened}{after}" if opened and CLOSE not in after else ""


def _require_once(text: str, word: str, what: str, tokenizer: Any) -> None:
    if (count := text.count(word)) != 1:
        wrong = f"drops {what}" if count == 0 else f"writes {what} {count} times"
        raise ValueError(f"{_named(tokenizer)} {wrong}; {_ADVICE}")


def _named(tokenizer: Any) -> str:
    name = Path(str(getattr(tokenizer, "name_or_path", "") or "")).name
    return f"the chat template of {name}" if name else "the chat template of this model"


def _shown(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "..."
