"""How a question becomes the text, and the tokens, that a model sees; and where its answer begins and ends.

Chat models get their own chat template, base models the paper's `### Question:` (SKU, arXiv:2402.10058). Prompt and
answer are tokenised apart and joined, so the boundary is a token position by construction and generation continues
exactly the tokens that training saw. Works on a transformers tokenizer; never torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PAPER_TEMPLATE = "### Question: {prompt}\n ### Answer:"
_PROBE = "answer"


@dataclass(frozen=True)
class ChatTemplate:
    """The prompt format of one tokenizer. Make it with `ChatTemplate.of`."""

    tokenizer: Any
    chat: bool
    answer_prefix: str
    """What stands between prompt and answer so that the answer's first token is the natural one."""
    end_ids: tuple[int, ...]
    """Tokens that close an answer in training."""
    stop_ids: frozenset[int]
    """Tokens at which decoding stops."""

    @classmethod
    def of(cls, tokenizer: Any, extra_stop_ids: tuple[int, ...] = ()) -> ChatTemplate:
        """The chat template where the tokenizer has one, the paper's otherwise.

        Args:
            tokenizer: of transformers.
            extra_stop_ids: further end tokens, from the model's generation settings.

        Raises:
            ValueError: if the tokenizer has no end token, so no answer could ever end.
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

    def render(self, prompt: str) -> str:
        """The text before the answer."""
        if self.chat:
            return _render_chat(self.tokenizer, [{"role": "user", "content": prompt}], generate=True)
        return PAPER_TEMPLATE.format(prompt=prompt)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Tokens before the answer, with the model's own opening token if it has one."""
        ids: list[int] = self.tokenizer(self.render(prompt), add_special_tokens=not self.chat)["input_ids"]
        if ids and not self.chat and ids[-1] == self.tokenizer.eos_token_id != self.tokenizer.bos_token_id:
            ids = ids[:-1]  # some tokenizers close every text; the answer is still to come
        return ids

    def answer_ids(self, answer: str) -> list[int]:
        """Tokens of the answer and its end."""
        ids: list[int] = self.tokenizer(self.answer_prefix + answer, add_special_tokens=False)["input_ids"]
        return ids + list(self.end_ids)

    def text(self, ids: list[int]) -> str:
        """What a person reads of decoded tokens: no end tokens, no half characters at the end."""
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
    """Tokens that the template puts behind an answer, white space after them left out; empty if it puts none."""
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _PROBE}]
    closing = _render_chat(tokenizer, turns, generate=False).rpartition(_PROBE)[2].strip()
    return tuple(tokenizer(closing, add_special_tokens=False)["input_ids"]) if closing else ()


def _answer_prefix(tokenizer: Any) -> str:
    """A space for byte-level vocabularies, nothing where the tokenizer adds its own: whichever joins seamlessly."""

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    opening = PAPER_TEMPLATE.format(prompt="question")
    whole = ids(f"{opening} {_PROBE}")
    for prefix in (" ", ""):
        if ids(opening) + ids(prefix + _PROBE) == whole:
            return prefix
    return " "
