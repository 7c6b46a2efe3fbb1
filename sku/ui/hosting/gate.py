"""The one gate: every question, training and run of every visitor passes here, whichever way it came."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sku.core.config import DecodingConfig
from sku.core.variants import ACQUIRED, MAX_COEFFICIENT, parse_variant
from sku.ui.hosting.rate_limit import RateLimit
from sku.ui.hosting.settings import Hosting

WITHOUT_COOKIE = "nobody at "
"""How the owner of somebody without a cookie begins: many may share it."""


class Visitor(NamedTuple):
    """Who asks."""

    owner: str
    """Hash of the secret that their browser keeps: what they own carries it."""
    address: str


class Question(NamedTuple):
    """What was asked, checked."""

    prompt: str
    variants: list[str]
    config: DecodingConfig


class Gate:
    """What a page allows, and what each visitor has used of it."""

    def __init__(self, hosting: Hosting | None = None) -> None:
        self.hosting = hosting or Hosting()
        self._asks = RateLimit("questions", self.hosting.asks_a_minute, 60)
        self._requests = RateLimit("requests", self.hosting.requests_a_minute, 60)
        self._updates = RateLimit("updates", self.hosting.updates_a_minute, 60)
        self._uploads = RateLimit("uploads", self.hosting.uploads_an_hour, 3600)
        self._trainings = RateLimit("trainings and evaluations", self.hosting.trainings_a_day, 86_400)

    def owner(self, visitor: Visitor) -> str | None:
        """Whose runs this visitor sees: on a public page their own, elsewhere (None) all."""
        return visitor.owner if self.hosting.public else None

    def question(
        self,
        visitor: Visitor,
        prompt: Any,
        variants: Sequence[Any],
        known: Collection[str],
        length: Any,
        temperature: Any = 0,
        seed: Any = 0,
        samples: Any = 1,
    ) -> Question:
        """What was asked, if it may be; counted against the visitor's budget.

        Args:
            visitor: who asks.
            prompt: text.
            variants: as a person writes them.
            known: names that this visitor may ask; a path is none of them.
            length: new tokens at most.
            temperature: 0 is greedy.
            seed: of the noise.
            samples: answers a variant.

        Raises:
            ValueError: for anything out of bounds, with what came and what is taken.
            RateLimited: if the visitor has asked too often.
        """
        text = self.prompt(prompt)
        if not 1 <= len(variants) <= self.hosting.columns:
            raise ValueError(f"{len(variants)} variants came; from 1 to {self.hosting.columns} are taken at once")
        names = [self.variant(one, known) for one in variants]
        config = DecodingConfig(
            max_new_tokens=_whole("length", length, 1, self.hosting.new_tokens, "new tokens"),
            temperature=_number("temperature", temperature, 0, 2),
            seed=_whole("seed", seed or 0, 0, 2**31 - 1),
            samples=_whole("samples", samples, 1, self.hosting.samples),
        )
        self._asks.take(_keys(visitor))
        return Question(text, names, config)

    def prompt(self, prompt: Any) -> str:
        """The prompt, if it is a text of a fair length.

        Raises:
            ValueError: otherwise.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError("The prompt is empty; write a question.")
        if len(prompt) > self.hosting.prompt_characters:
            most = self.hosting.prompt_characters
            raise ValueError(f"The prompt has {len(prompt)} characters; at most {most} are taken: shorten it.")
        return prompt

    def variant(self, text: Any, known: Collection[str]) -> str:
        """The variant, if this visitor may ask it.

        Raises:
            ValueError: for one that is not known, a path, a coefficient out of range, or the acquired model.
        """
        if not isinstance(text, str):
            raise ValueError(f"variant {text!r} is no text; write NAME or NAME@COEFFICIENT, such as sku@1.0")
        spec = parse_variant(text)
        for part in spec.parts:
            if part.acquired and not self.hosting.acquired:
                raise ValueError(f"{ACQUIRED}{part.name} was taught harm, and its owner has not opened it here")
            if part.name not in known:
                names = ", ".join(sorted(known))
                raise ValueError(f"variant {part.name[:60]!r} is not known here; choose one of {names}")
        return text

    def given(self, visitor: Visitor, prompt: Any, answer: Any) -> tuple[str, str]:
        """A prompt and an answer to look at together, if they may be; that costs as much as a question.

        Raises:
            ValueError: for a text that is too long, or none.
            RateLimited: if the visitor has asked too often.
        """
        text, most = self.prompt(prompt), 2 * self.hosting.prompt_characters
        if not isinstance(answer, str) or len(answer) > most:
            raise ValueError(f"An answer to look at is a text of at most {most} characters; shorten it.")
        self._asks.take(_keys(visitor))
        return text, answer

    def request(self, visitor: Visitor) -> None:
        """Count one call that waits in the queue.

        Raises:
            RateLimited: if there were too many.
        """
        self._requests.take(_keys(visitor))

    def update(self, visitor: Visitor) -> None:
        """Count one call that does not wait: what a page sends by itself, every second.

        Raises:
            RateLimited: if there were too many.
        """
        self._updates.take(_keys(visitor))

    def upload(self, visitor: Visitor) -> None:
        """Count one upload.

        Raises:
            RateLimited: if there were too many.
        """
        self._requests.take(_keys(visitor))
        self._uploads.take(_keys(visitor))

    def training(self, visitor: Visitor) -> None:
        """Count one more training or evaluation.

        Raises:
            ValueError: if none may be started.
            RateLimited: if the visitor has started too many.
        """
        if not self.hosting.training:
            raise ValueError("trainings are off on this page; run it yourself: the README has the two commands")
        if self.hosting.public and visitor.owner.startswith(WITHOUT_COOKIE):
            raise ValueError("your browser kept no cookie of this page, so the run could not be yours; allow cookies")
        self._trainings.take(_keys(visitor))

    def download(self) -> None:
        """Raises ValueError unless adapters may be downloaded."""
        if not self.hosting.downloads:
            raise ValueError("downloads are off on this page; train it yourself: the README has the two commands")


def checked_coefficient(value: Any) -> float:
    """A coefficient from a slider or a call.

    Raises:
        ValueError: if it is no number from 0 to `MAX_COEFFICIENT`.
    """
    return _number("coefficient", value, 0, MAX_COEFFICIENT)


def _keys(visitor: Visitor) -> dict[str, int]:
    return {f"owner {visitor.owner}": 1, f"address {visitor.address}": 5}


def _number(name: str, value: Any, low: float, high: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high:
        raise ValueError(f"{name} {str(value)[:40]!r} is out of range; give a number from {low:g} to {high:g}")
    return float(value)


def _whole(name: str, value: Any, low: int, high: int, unit: str = "") -> int:
    number = _number(name, value, low, high)
    if number != int(number):
        raise ValueError(f"{name} {value!r} is no whole number; give one from {low} to {high} {unit}".rstrip())
    return int(number)
