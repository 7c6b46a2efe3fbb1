"""Encodes pairs and pads them into tensors. Positions decide which tokens are scored, never a pad id or the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.models.chat_template import ChatTemplate

MIN_ANSWER_TOKENS = 4
"""Fewer free tokens than this do not count as room for an answer."""


@dataclass(frozen=True)
class EncodedPair:
    """A prompt and an answer as tokens."""

    ids: tuple[int, ...]
    prompt_tokens: int
    """How many of the ids are the prompt; the rest are the answer and its end."""

    @property
    def answer(self) -> tuple[int, ...]:
        """The scored tokens."""
        return self.ids[self.prompt_tokens :]


@dataclass(frozen=True)
class Batch:
    """Right-padded rows on one device."""

    input_ids: Tensor
    """`[B, T]`"""
    attention_mask: Tensor
    """`[B, T]`, 1 on real tokens."""
    answer_mask: Tensor
    """`[B, T]`, true on answer tokens, end included."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return Batch(self.input_ids.to(device), self.attention_mask.to(device), self.answer_mask.to(device))

    @property
    def tokens(self) -> int:
        """Number of real tokens, without padding."""
        return int(self.attention_mask.sum())


def encode_answer(
    template: ChatTemplate, prompt: str, answer: str, max_tokens: int, before: Conversation = NO_CONVERSATION
) -> EncodedPair:
    """Encode a pair. An answer that is too long is cut and loses its end token; a prompt is never cut.

    `before` is the conversation before the prompt.

    Raises:
        ValueError: if the prompt leaves fewer than `MIN_ANSWER_TOKENS` tokens for the answer.
    """
    prompt_ids, answer_ids = template.prompt_ids(prompt, before), template.answer_ids(answer)
    room = max_tokens - len(prompt_ids)
    if room < MIN_ANSWER_TOKENS:
        raise ValueError(
            f"prompt {prompt[:60]!r} takes {len(prompt_ids)} of {max_tokens} tokens and leaves no room for an answer; "
            "raise max_tokens or leave the prompt out"
        )
    return EncodedPair(tuple(prompt_ids + answer_ids[:room]), len(prompt_ids))


def collate(rows: Sequence[EncodedPair], pad_id: int = 0) -> Batch:
    """Right-pad `rows` into tensors; masks say what is real, so any `pad_id` will do.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("a batch needs at least one row")
    width = max(len(row.ids) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
    answer_mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        input_ids[i, : len(row.ids)] = torch.tensor(row.ids)
        attention_mask[i, : len(row.ids)] = 1
        answer_mask[i, row.prompt_tokens : len(row.ids)] = True
    return Batch(input_ids, attention_mask, answer_mask)


def left_pad(rows: Sequence[Sequence[int]], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Ids and mask `[B, T]` on `device`, padded on the left so that every row's next token is in the same column."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids.to(device), mask.to(device)


def token_positions(mask: Tensor, width: int) -> Tensor:
    """Positions `[B, width]` of the last `width` tokens of rows with `mask` `[B, T]`; padding is not counted."""
    positions: Tensor = (mask.cumsum(-1) - 1).clamp(min=0)[:, -width:]
    return positions
