"""Turns a question into the tokens that a model sees, and knows where the answer starts and ends.

Chat models use their own chat template, base models the paper's `### Question:` (SKU, arXiv:2402.10058). A chat
template is a program from outside, so it is tried once when the model is loaded (`probed_template.py`). Prompt and
answer are tokenised separately and joined: the boundary is a token position by construction, and generation continues
exactly the tokens that training saw. What people write never becomes a control token. Needs a transformers tokenizer;
no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sku.core.conversation import NO_CONVERSATION, Conversation, Turn
from sku.models.control_tokens import ControlTokens
from sku.models.probed_template import ProbedTemplate, probe_template

PAPER_TEMPLATE = "### Question: {prompt}\n ### Answer:"
PAPER_MARKERS = ("### Question:", "### Answer:")
"""A base model that writes one of these has ended its answer and goes on with a next question."""
_SAMPLE_ANSWER = "answer"
_TAIL_TOKENS = 8
"""How many more tokens than a marker has characters are searched for it; a token may hold the end of other text."""


@dataclass(frozen=True)
class ChatTemplate:
    """The prompt format of one tokenizer; `ChatTemplate.of` builds it."""

    tokenizer: Any
    probed: ProbedTemplate | None
    """The chat template; None for the paper's."""
    answer_prefix: str
    """Put before an answer so that its first token is the one that running text would have."""
    end_ids: tuple[int, ...]
    """Tokens that end an answer in training."""
    stop_ids: frozenset[int]
    """Tokens at which decoding stops."""
    stop_texts: tuple[str, ...] = ()
    """Texts at which decoding stops, where the template ends an answer with ordinary characters."""

    @classmethod
    def of(cls, tokenizer: Any, extra_stop_ids: tuple[int, ...] = ()) -> ChatTemplate:
        """The tokenizer's chat template if it has one, else the paper's.

        Args:
            tokenizer: a transformers tokenizer.
            extra_stop_ids: more end tokens, from the model's generation settings.

        Raises:
            ValueError: if the chat template cannot be used, or the tokenizer has no end token, so that no answer could
                end.
        """
        probed = probe_template(tokenizer) if getattr(tokenizer, "chat_template", None) else None
        controls = ControlTokens(tokenizer)
        end_ids = tuple(controls.encode(probed.closing)) if probed and probed.closing else ()
        stops = set(extra_stop_ids)
        texts: tuple[str, ...] = () if probed else PAPER_MARKERS
        if tokenizer.eos_token_id is not None:
            stops.add(tokenizer.eos_token_id)
        if probed:
            stops.update(i for i in end_ids if i in controls.ids)
            marker = controls.text_before(probed.closing or probed.next_turn).rstrip()
            texts = (marker,) if marker else ()
        if not end_ids:
            if tokenizer.eos_token_id is None:
                raise ValueError("the tokenizer has no end-of-sequence token; set one, or answers would never stop")
            end_ids = (tokenizer.eos_token_id,)
        prefix = "" if probed else _answer_prefix(tokenizer)
        return cls(tokenizer, probed, prefix, end_ids, frozenset(stops), texts)

    @property
    def chat(self) -> bool:
        """Whether the tokenizer has a chat template of its own."""
        return self.probed is not None

    @cached_property
    def controls(self) -> ControlTokens:
        """The control tokens, which no text of a person may become."""
        return ControlTokens(self.tokenizer)

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """Tokens that start every prompt, except for the rare one whose first letters merge with the last of them."""
        encoded = [self.prompt_ids(prompt) for prompt in ("How", "a", "1")]
        return tuple(encoded[0][: shared_prefix_length(encoded)])

    @cached_property
    def suffix_ids(self) -> tuple[int, ...]:
        """Tokens that end every prompt, except for the rare one whose last letters merge with the first of them."""
        reversed_ids = [self.prompt_ids(prompt)[::-1] for prompt in ("How", "a", "1")]
        return tuple(reversed_ids[0][: shared_prefix_length(reversed_ids)][::-1])

    def split_prompt(self, prompt: str) -> tuple[list[int], list[int], list[int]]:
        """The tokens before the person's text, those of the text, and those after it."""
        ids = self.prompt_ids(prompt)
        start = shared_prefix_length([self.prefix_ids, ids])
        after = shared_prefix_length([self.suffix_ids[::-1], ids[start:][::-1]])
        return ids[:start], ids[start : len(ids) - after], ids[len(ids) - after :]

    def render(self, prompt: str, before: Conversation = NO_CONVERSATION) -> str:
        """The text before the answer.

        Raises:
            ValueError: if the format has no place for the system prompt or the earlier turns.
        """
        if self.probed is not None:
            return self.probed.render_question(prompt, before)
        if before:
            raise ValueError(
                "this base has no chat template, so it takes no system prompt and no follow-up question; "
                "leave the system prompt empty and ask a first question"
            )
        return PAPER_TEMPLATE.replace("{prompt}", prompt)

    def prompt_ids(self, prompt: str, before: Conversation = NO_CONVERSATION) -> list[int]:
        """Tokens before the answer, with the model's start token if it has one.

        Raises:
            ValueError: as `render`.
        """
        rendered = self.render(self.controls.broken(prompt), self._broken(before))
        ids = self.controls.encode(rendered, add_special_tokens=not self.chat)
        if ids and not self.chat and ids[-1] == self.tokenizer.eos_token_id != self.tokenizer.bos_token_id:
            ids = ids[:-1]  # some tokenizers end every text, but the answer is still to come
        return ids

    def _broken(self, before: Conversation) -> Conversation:
        """The conversation, in which no text can become a control token."""
        broken = self.controls.broken
        return Conversation(
            broken(before.system), tuple(Turn(broken(turn.prompt), broken(turn.answer)) for turn in before.turns)
        )

    def answer_ids(self, answer: str, follows_text: bool = False) -> list[int]:
        """Tokens of the answer, then its end tokens.

        Args:
            answer: the text.
            follows_text: whether the answer has begun already, so that a space belongs before `answer`.
        """
        prefix = (self.answer_prefix or " ") if follows_text else self.answer_prefix
        if self.probed is not None:
            answer = answer.removeprefix(self.probed.opening)
        return self.controls.encode(prefix + self.controls.broken(answer)) + list(self.end_ids)

    def answer_start_ids(self, start: str) -> list[int]:
        """Tokens of the beginning of an answer, which is to be continued."""
        return self.answer_ids(start)[: -len(self.end_ids)] if start else []

    def text(self, ids: list[int]) -> str:
        """The text of decoded tokens as a person reads it, without end tokens and half characters at the end."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.removeprefix(self.answer_prefix).rstrip("\ufffd")

    def written_text(self, ids: list[int]) -> str:
        """The answer that a model wrote: up to a text that ends answers, with the reasoning that the template opens.

        While a model writes, the beginning of such a text may show at the end.
        """
        text = self.text(ids)
        places = [place for marker in self.stop_texts if (place := text.find(marker)) >= 0]
        if places:
            text = text[: min(places)].rstrip()
        return self.probed.opening + text if self.probed is not None else text

    def ends_with_stop_text(self, ids: list[int]) -> bool:
        """Whether the last tokens complete a text that ends an answer."""
        if not self.stop_texts:
            return False
        tail: str = self.tokenizer.decode(ids[-max(map(len, self.stop_texts)) - _TAIL_TOKENS :])
        return any(marker in tail for marker in self.stop_texts)


def shared_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """The number of tokens that all rows share at their start."""
    columns = zip(*rows, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def _answer_prefix(tokenizer: Any) -> str:
    """A space, or nothing where the tokenizer adds its own: whichever gives the tokens of running text."""

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    prompt = PAPER_TEMPLATE.format(prompt="question")
    whole = encode(f"{prompt} {_SAMPLE_ANSWER}")
    for prefix in (" ", ""):
        if encode(prompt) + encode(prefix + _SAMPLE_ANSWER) == whole:
            return prefix
    return " "
