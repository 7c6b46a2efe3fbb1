"""A chat template, tried once: does it render a question and an answer, whole, once each, and what does it put after?

A template is a program that comes with a model. It may raise, be no Jinja, want a system turn or a list of parts, drop
the question, or open a block of reasoning. What cannot be used is said in one sentence when the model is loaded. Needs
a transformers tokenizer; no torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.thinking import CLOSE, OPEN

_PROMPT, _ANSWER, _NEXT, _SYSTEM = "Zq7xpromptq7Z", "Zq7xanswerq7Z", "Zq7xnextq7Z", "Zq7xsystemq7Z"
"""Words that no template contains, whatever its tags are called."""
_LONG = f"{_PROMPT}: is 1 < 2 & 'so'?\n\nAgain. " + "long words " * 2_000 + _NEXT
"""A question of several lines, which a template that cuts or changes texts does not write as it is."""
_DAY = datetime(2024, 7, 26)
"""The date that every template is told. It is the one that Llama 3's template takes where there is no clock."""
_CLOCK = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_MAX_SHOWN_CHARACTERS = 160
_MAX_CHARACTERS = 100_000
"""Around a question. Tokenising more takes minutes, and no template needs it."""
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
    header: str = ""
    """What it writes before an answer that is given, but not where the model's answer begins, such as the answer's
    role. It is added there."""
    takes_system: bool = False
    """Whether it renders a system prompt."""
    takes_turns: bool = False
    """Whether it renders a second question after an answer."""

    def render_question(self, prompt: str, before: Conversation = NO_CONVERSATION) -> str:
        """The text up to where the model's answer to `prompt` begins.

        Raises:
            ValueError: if the template has no place for the system prompt or for earlier turns, or leaves out a part of
                this question, such as all before `</think>`.
        """
        if before.system and not self.takes_system:
            raise ValueError(f"{_named(self.tokenizer)} has no place for a system prompt; leave it empty")
        if before.turns and not self.takes_turns:
            raise ValueError(f"{_named(self.tokenizer)} takes one question only; start a new conversation")
        earlier = (text for turn in before.turns for text in (turn.prompt, turn.answer))
        rendered = self.render(*earlier, prompt, system=before.system) + self.header
        if prompt.strip() not in rendered:
            raise ValueError(
                f"{_named(self.tokenizer)} leaves out or changes a part of this question; word it differently"
            )
        return rendered

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
                messages,
                add_generation_prompt=generate,
                tokenize=False,
                enable_thinking=False,  # answers are short here: a model that may think first would do nothing else
                chat_template=_CLOCK.sub(_same_date, self.tokenizer.get_chat_template()),
            )
        except Exception as error:  # a program from outside may raise anything
            what = "a question without more" if len(turns) == 1 else "a question with its answer"
            raise ValueError(f"{_named(self.tokenizer)} refuses {what}: {_shown(error)}; {_ADVICE}") from error
        return rendered

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self.in_parts else text


def probe_template(tokenizer: Any) -> ProbedTemplate:
    """The tokenizer's chat template, if it can be used.

    Raises:
        ValueError: if it raises, is no template, writes too much or another text each time, drops, cuts or changes the
            question, drops the answer, or writes one of them twice.
    """
    names = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else {"default": ""}
    if "default" not in names:
        raise ValueError(
            f"{_named(tokenizer)} has the forms {', '.join(sorted(names)[:3])}, and none is named default; name one so"
        )
    template = ProbedTemplate(tokenizer, in_parts=False)
    in_parts = ProbedTemplate(tokenizer, in_parts=True)
    if _PROMPT not in _rendered(template, _PROMPT) and _PROMPT in _rendered(in_parts, _PROMPT):
        template = in_parts
    asked = template.render(_PROMPT)
    if len(asked) > _MAX_CHARACTERS:
        raise ValueError(f"{_named(tokenizer)} writes {len(asked):,} characters around a question; {_ADVICE}")
    if template.render(_PROMPT) != asked:
        raise ValueError(f"{_named(tokenizer)} writes another text each time; {_ADVICE}")
    _require_once(asked, _PROMPT, "the question", tokenizer)
    if _LONG not in template.render(_LONG):
        raise ValueError(f"{_named(tokenizer)} cuts or changes a long question; {_ADVICE}")
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
        _missing_header(asked, whole),
        takes_system=_in_order(_rendered(template, _PROMPT, system=_SYSTEM), _SYSTEM, _PROMPT),
        takes_turns=_in_order(two, _PROMPT, _ANSWER, _NEXT),
    )


def _same_date(clock: re.Match[str]) -> str:
    """The same date every day, in the form that the template asks for: a prompt always has the same tokens."""
    return repr(_DAY.strftime(clock[2]))


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


def _missing_header(asked: str, whole: str) -> str:
    """What stands before a given answer and is missing where the model's answer begins.

    A block of reasoning does not count: it says how to answer, not who does.
    """
    before_answer = whole.partition(_ANSWER)[0]
    missing = before_answer.removeprefix(asked) if before_answer.startswith(asked) else ""
    return missing if missing.strip() and OPEN not in missing and CLOSE not in missing else ""


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
