"""Turns a question into the tokens that a model sees, and knows where the answer starts and ends.

Chat models use their own chat template, base models the paper's `### Question:` (SKU, arXiv:2402.10058). Prompt and
answer are tokenised separately and joined: the boundary is a token position by construction, and generation continues
exactly the tokens that training saw. Needs a transformers tokenizer; no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PAPER_TEMPLATE = "### Question: {prompt}\n ### Answer:"
_SAMPLE_ANSWER = "answer"


@dataclass(frozen=True)
class ChatTemplate:
    """The prompt format of one tokenizer; `ChatTemplate.of` builds it."""

    tokenizer: Any
    chat: bool
    answer_prefix: str
    """Put before an answer so that its first token is the one that running text would have."""
    end_ids: tuple[int, ...]
    """Tokens that end an answer in training."""
    stop_ids: frozenset[int]
    """Tokens at which decoding stops."""

    @classmethod
    def of(cls, tokenizer: Any, extra_stop_ids: tuple[int, ...] = ()) -> ChatTemplate:
        """The tokenizer's chat template if it has one, else the paper's.

        Args:
            tokenizer: a transformers tokenizer.
            extra_stop_ids: more end tokens, from the model's generation settings.

        Raises:
            ValueError: if the tokenizer has no end token, so that no answer could end.
        """
        chat = bool(getattr(tokenizer, "chat_template", None))
        end_ids = _chat_end(tokenizer) if chat else ()
        if not end_ids:
            if tokenizer.eos_token_id is None:
                raise ValueError("the tokenizer has no end-of-sequence token; set one, or answers would never stop")
            end_ids = (tokenizer.eos_token_id,)
        stops = {end_ids[0], *extra_stop_ids}
        if tokenizer.eos_token_id is not None:
            stops.add(tokenizer.eos_token_id)
        prefix = "" if chat else _answer_prefix(tokenizer)
        return cls(tokenizer, chat, prefix, end_ids, frozenset(stops))

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

    def render(self, prompt: str) -> str:
        """The text before the answer."""
        if self.chat:
            return _render_chat(self.tokenizer, [{"role": "user", "content": prompt}], generate=True)
        return PAPER_TEMPLATE.format(prompt=prompt)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Tokens before the answer, with the model's start token if it has one."""
        ids: list[int] = self.tokenizer(self.render(prompt), add_special_tokens=not self.chat)["input_ids"]
        if ids and not self.chat and ids[-1] == self.tokenizer.eos_token_id != self.tokenizer.bos_token_id:
            ids = ids[:-1]  # some tokenizers end every text, but the answer is still to come
        return ids

    def answer_ids(self, answer: str, follows_text: bool = False) -> list[int]:
        """Tokens of the answer, then its end tokens.

        Args:
            answer: the text.
            follows_text: whether the answer has begun already, so that a space belongs before `answer`.
        """
        prefix = (self.answer_prefix or " ") if follows_text else self.answer_prefix
        ids: list[int] = self.tokenizer(prefix + answer, add_special_tokens=False)["input_ids"]
        return ids + list(self.end_ids)

    def answer_start_ids(self, start: str) -> list[int]:
        """Tokens of the beginning of an answer, which is to be continued."""
        return self.answer_ids(start)[: -len(self.end_ids)] if start else []

    def text(self, ids: list[int]) -> str:
        """The text of decoded tokens as a person reads it, without end tokens and half characters at the end."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.removeprefix(self.answer_prefix).rstrip("\ufffd")


def shared_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """The number of tokens that all rows share at their start."""
    columns = zip(*rows, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def _render_chat(tokenizer: Any, messages: list[dict[str, str]], generate: bool) -> str:
    rendered: str = tokenizer.apply_chat_template(messages, add_generation_prompt=generate, tokenize=False)
    return rendered


def _chat_end(tokenizer: Any) -> tuple[int, ...]:
    """Tokens that the template puts after an answer, without trailing white space; empty if there are none."""
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _SAMPLE_ANSWER}]
    closing = _render_chat(tokenizer, turns, generate=False).rpartition(_SAMPLE_ANSWER)[2].strip()
    return tuple(tokenizer(closing, add_special_tokens=False)["input_ids"]) if closing else ()


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
