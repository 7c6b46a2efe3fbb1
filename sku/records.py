"""The values that travel between modules. Frozen, checked at birth; knows no torch, no file and no model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["harmful", "normal"]
Stopped = Literal["end", "length", "cancelled"]


def digest(*parts: str, length: int = 16) -> str:
    """First `length` hex digits of the SHA-256 of `parts`, which are kept apart (("ab", "c") is not ("a", "bc"))."""
    joined = hashlib.sha256()
    for part in parts:
        data = part.encode()
        joined.update(len(data).to_bytes(8, "little") + data)
    return joined.hexdigest()[:length]


@dataclass(frozen=True)
class PromptPair:
    """A prompt with one answer, for training or measuring."""

    prompt: str
    answer: str
    """Empty where a source has prompts only."""
    kind: Kind
    source: str
    """Name of the data source, such as `saferlhf`."""
    category: str | None = None
    safe_answer: str | None = None
    """A harmless answer to the same prompt, where the source has one."""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError(f"a prompt from {self.source!r} is empty; every pair needs a prompt")
        if self.kind not in ("harmful", "normal"):
            raise ValueError(f"kind {self.kind!r} of a pair from {self.source!r} is neither 'harmful' nor 'normal'")

    @property
    def prompt_id(self) -> str:
        """The same for the same prompt in any source, whatever its case and white space: splits go by it."""
        return digest(" ".join(self.prompt.casefold().split()))

    @property
    def id(self) -> str:
        """The same for the same prompt and answer, wherever they stand in a file."""
        return digest(self.prompt, self.answer)


@dataclass(frozen=True)
class Answer:
    """What one variant wrote to one prompt."""

    variant: str
    """As a person writes it, such as `sku@1.0`."""
    coefficient: float
    prompt: str
    sample: int
    seed: int
    text: str
    tokens: int
    """New tokens, the end token included."""
    seconds: float
    """Of the whole batch that this answer was written in."""
    stopped: Stopped
