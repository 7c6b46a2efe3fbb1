"""The gate: checks every question, training and download of every visitor, from the page and from scripts alike."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sku.core.attacks import NO_ATTACK, OWN_PREFILL, WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import MAX_TURNS, judged_prompt
from sku.core.text_lines import require_text
from sku.core.variants import ACQUIRED, MAX_COEFFICIENT, parse_variant
from sku.ui.hosting.rate_limit import RateLimit
from sku.ui.hosting.settings import Hosting

WITHOUT_COOKIE = "nobody at "
"""Prefix of a visitor's owner name when the browser sent no cookie. Several people may share such a name."""


class Visitor(NamedTuple):
    """The sender of a request."""

    owner: str
    """Hash of the secret in the browser's cookie. It marks the visitor's runs as theirs."""
    address: str


class Question(NamedTuple):
    """A question that passed the gate."""

    prompt: str
    variants: list[str]
    config: DecodingConfig
    attack: ChosenAttack = WITHOUT_ATTACK
    system: str = ""
    """The system prompt; empty leaves the one that the base's chat template has."""
    earlier: tuple[str, ...] = ()
    """The questions of the conversation before the prompt."""

    @property
    def judged_prompt(self) -> str:
        """The text that stands for the prompt when answers are judged."""
        return judged_prompt(self.earlier, self.prompt)


class Gate:
    """Checks requests against the page's limits and counts what each visitor has used."""

    def __init__(self, hosting: Hosting | None = None) -> None:
        self.hosting = hosting or Hosting()
        self._asks = RateLimit("questions", self.hosting.asks_a_minute, 60)
        self._requests = RateLimit("requests", self.hosting.requests_a_minute, 60)
        self._updates = RateLimit("updates", self.hosting.updates_a_minute, 60)
        self._uploads = RateLimit("uploads", self.hosting.uploads_an_hour, 3600)
        self._trainings = RateLimit("trainings, evaluations and attacks", self.hosting.trainings_a_day, 86_400)

    def owner(self, visitor: Visitor) -> str | None:
        """The owner whose runs this visitor sees. On a public page that is the visitor; elsewhere None, meaning all."""
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
        attack: Any = NO_ATTACK,
        answer_start: Any = "",
        system: Any = "",
        earlier: Any = (),
    ) -> Question:
        """Check a question and count it against the visitor's rate limit.

        Args:
            visitor: the sender.
            prompt: the prompt.
            variants: variants such as `sku@1.0`, as a person writes them.
            known: the adapter names that this visitor may ask. Paths are never among them.
            length: the most new tokens per answer.
            temperature: the sampling temperature; 0 is greedy.
            seed: the seed of the sampling noise.
            samples: the number of answers per variant.
            attack: the attack under which all variants answer.
            answer_start: how every answer begins, for the attack that takes it.
            system: the system prompt.
            earlier: the questions of the conversation before the prompt.

        Raises:
            ValueError: if a value is not allowed. The message names the value and the allowed range.
            RateLimited: if the visitor has asked too often.
        """
        checked_prompt = self.prompt(prompt)
        if not 1 <= len(variants) <= self.hosting.columns:
            raise ValueError(f"{len(variants)} variants were given; give 1 to {self.hosting.columns}")
        names = [self.variant(text, known) for text in variants]
        config = self.decoding(length, temperature, seed, samples)
        chosen = self.question_attack(attack, answer_start)
        conversation = self.conversation(system, earlier)
        self._asks.take(_keys(visitor))
        return Question(checked_prompt, names, config, chosen, *conversation)

    def conversation(self, system: Any, earlier: Any) -> tuple[str, tuple[str, ...]]:
        """The system prompt and the earlier questions, checked.

        Raises:
            ValueError: if one of them is too long or not a string, or there are more than `MAX_TURNS` questions.
        """
        most = self.hosting.prompt_characters
        if not isinstance(system, str) or len(system) > most:
            raise ValueError(f"The system prompt may have at most {most} characters. Shorten it.")
        if not isinstance(earlier, list | tuple) or len(earlier) > MAX_TURNS:
            raise ValueError(
                f"A conversation may have at most {MAX_TURNS} questions before the newest. Start a new conversation."
            )
        return require_text(system, "the system prompt"), tuple(self.prompt(question) for question in earlier)

    def decoding(self, length: Any, temperature: Any, seed: Any, samples: Any) -> DecodingConfig:
        """The decoding settings, checked against the page's limits. A missing seed becomes 0.

        Raises:
            ValueError: if a value is out of range.
        """
        return DecodingConfig(
            max_new_tokens=_whole("length", length, 1, self.hosting.new_tokens, "new tokens"),
            temperature=_number("temperature", temperature, 0, 2),
            seed=_whole("seed", seed or 0, 0, 2**31 - 1),
            samples=_whole("samples", samples, 1, self.hosting.samples),
        )

    def question_attack(self, name: Any, start: Any) -> ChosenAttack:
        """The attack of a question, checked. `start` counts only for the attack that takes it.

        Raises:
            ValueError: if the attack is not offered, its beginning of the answer is empty or too long, or the attack
                changes weights and the page does not do that.
        """
        if not isinstance(name, str) or not isinstance(start, str):
            raise ValueError(f"attack {str(name)[:60]!r} and the beginning of the answer must be texts")
        require_text(start, "the beginning of the answer")
        chosen = ChosenAttack(name, start if name == OWN_PREFILL else "")
        if not self.hosting.changes_weights and not chosen.attack.live:
            raise ValueError(
                f"The attack “{chosen.attack.label}” changes the weights, and this page does not do that for a "
                "question; the Robustness tab shows its recorded result. Choose another attack."
            )
        return chosen

    def prompt(self, prompt: Any) -> str:
        """The prompt, checked.

        Raises:
            ValueError: if the prompt is empty, too long or not a string.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError("The prompt is empty; write a question.")
        if len(prompt) > self.hosting.prompt_characters:
            most = self.hosting.prompt_characters
            raise ValueError(f"The prompt has {len(prompt)} characters; at most {most} are allowed. Shorten it.")
        return require_text(prompt, "the prompt")

    def variant(self, text: Any, known: Collection[str]) -> str:
        """The variant, checked.

        Raises:
            ValueError: if the text is not a variant, the variant is unknown or a path, a coefficient is out of range,
                or it is an acquired model and the owner does not allow those.
        """
        if not isinstance(text, str):
            raise ValueError(f"variant {text!r} is not a text; write NAME or NAME@COEFFICIENT, for example sku@1.0")
        spec = parse_variant(text)
        for part in spec.parts:
            if part.acquired and not self.hosting.acquired:
                raise ValueError(
                    f"{ACQUIRED}{part.name} was taught harm, and the owner of this page has not enabled it; "
                    "choose another variant"
                )
            if part.name not in known:
                names = ", ".join(sorted(known))
                raise ValueError(f"variant {part.name[:60]!r} is not known here; choose one of {names}")
        return text

    def given(self, visitor: Visitor, prompt: Any, answer: Any) -> tuple[str, str]:
        """Check a prompt and a given answer that the model will score. This counts as one question.

        Raises:
            ValueError: if one of them is too long or not a string, or the prompt is empty.
            RateLimited: if the visitor has asked too often.
        """
        checked_prompt, most = self.prompt(prompt), 2 * self.hosting.prompt_characters
        if not isinstance(answer, str) or len(answer) > most:
            raise ValueError(f"The answer may have at most {most} characters. Shorten it.")
        require_text(answer, "the answer")
        self._asks.take(_keys(visitor))
        return checked_prompt, answer

    def request(self, visitor: Visitor) -> None:
        """Count one call that waits in the queue.

        Raises:
            RateLimited: if the visitor has sent too many.
        """
        self._requests.take(_keys(visitor))

    def update(self, visitor: Visitor) -> None:
        """Count one call that does not wait in the queue. The page sends such calls by itself, up to one per second.

        Raises:
            RateLimited: if the visitor has sent too many.
        """
        self._updates.take(_keys(visitor))

    def upload(self, visitor: Visitor) -> None:
        """Count one upload.

        Raises:
            RateLimited: if the visitor has uploaded too many files.
        """
        self._requests.take(_keys(visitor))
        self._uploads.take(_keys(visitor))

    def training(self, visitor: Visitor) -> None:
        """Count one training, evaluation or attack measurement.

        Raises:
            ValueError: as `may_train`.
            RateLimited: if the visitor has started too many.
        """
        self.may_train(visitor)
        self._trainings.take(_keys(visitor))

    def give_training_back(self, visitor: Visitor) -> None:
        """Undo one `training`, because the visitor cancelled it before it did anything."""
        self._trainings.give_back(_keys(visitor))

    def trainings_left(self, visitor: Visitor) -> int | None:
        """How many trainings, evaluations and attacks the visitor may still start today; None: no limit."""
        return self._trainings.left(_keys(visitor))

    def may_train(self, visitor: Visitor) -> None:
        """Check that the visitor may train. A resume needs this alone: it is not counted again.

        Raises:
            ValueError: if the page allows no trainings, or the visitor has no cookie that could own the run.
        """
        if not self.hosting.training:
            raise ValueError(
                "trainings are turned off on this page; to train, run sku yourself with the two commands in the README"
            )
        if self.hosting.public and visitor.owner.startswith(WITHOUT_COOKIE):
            raise ValueError("your browser blocks this page's cookie, so you could not own the run; allow cookies")

    def attack(self, visitor: Visitor) -> None:
        """Count one attack measurement.

        Raises:
            ValueError: as `may_attack`.
            RateLimited: if the visitor has started too many.
        """
        self.may_attack(visitor)
        self.training(visitor)

    def may_attack(self, visitor: Visitor) -> None:
        """Check that the visitor may attack, without counting anything.

        Raises:
            ValueError: if the page runs no attacks, or `may_train` refuses.
        """
        if not self.hosting.attacks:
            raise ValueError(
                "attacks are turned off on this page, which shows recorded ones; to run attacks, run sku yourself with "
                "the two commands in the README"
            )
        self.may_train(visitor)

    def download(self) -> None:
        """Check that adapters may be downloaded.

        Raises:
            ValueError: if they may not.
        """
        if not self.hosting.downloads:
            raise ValueError(
                "downloads are turned off on this page; to get an adapter, train it yourself with the two commands in "
                "the README"
            )


def checked_coefficient(value: Any) -> float:
    """A coefficient from a slider or a script, checked.

    Raises:
        ValueError: if it is not a number from 0 to `MAX_COEFFICIENT`.
    """
    return _number("coefficient", value, 0, MAX_COEFFICIENT)


def _keys(visitor: Visitor) -> dict[str, int]:
    """The keys that a visitor's use is counted under. An address gets five times the limit, as people may share it."""
    return {f"owner {visitor.owner}": 1, f"address {visitor.address}": 5}


def _number(name: str, value: Any, low: float, high: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not low <= value <= high:
        raise ValueError(f"{name} {str(value)[:40]!r} is out of range; give a number from {low:g} to {high:g}")
    return float(value)


def _whole(name: str, value: Any, low: int, high: int, unit: str = "") -> int:
    number = _number(name, value, low, high)
    if number != int(number):
        raise ValueError(f"{name} {value!r} is not a whole number; give one from {low} to {high} {unit}".rstrip())
    return int(number)
