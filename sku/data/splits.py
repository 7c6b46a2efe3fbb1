"""Which prompts are for training, validation and test. A hash of the prompt decides, and nothing else.

So a prompt is on the same side in every source, and it stays there when rows are added or shuffled. The first question
of a conversation decides for the whole conversation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from sku.core.records import PromptPair

Side = Literal["train", "validation", "test"]
_TRAIN_BELOW = 0.7
_VALIDATION_BELOW = 0.8
_DIGITS = 13  # 52 bits: as many as a float holds without rounding


def side_of(prompt_id: str) -> Side:
    """The side of a prompt: 70 % of all prompts are on train, 10 % on validation, 20 % on test.

    Args:
        prompt_id: `PromptPair.split_id`, which is hexadecimal.

    Raises:
        ValueError: if it is not hexadecimal.
    """
    try:
        share = int(prompt_id[:_DIGITS], 16) / 16**_DIGITS
    except ValueError:
        raise ValueError(f"prompt id {prompt_id!r} is not hexadecimal; give PromptPair.split_id") from None
    if share < _TRAIN_BELOW:
        return "train"
    return "validation" if share < _VALIDATION_BELOW else "test"


def split(pairs: Iterable[PromptPair], name: Side) -> tuple[PromptPair, ...]:
    """The pairs on the side `name`, in their order.

    Raises:
        ValueError: if there is no such side.
    """
    if name not in get_args(Side):
        raise ValueError(f"split {name!r} is not known; choose one of {', '.join(get_args(Side))}")
    return tuple(pair for pair in pairs if side_of(pair.split_id) == name)
