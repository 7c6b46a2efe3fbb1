"""A session that is live while the weights can be had, and shows recorded answers if loading failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer, Verdict
from sku.serving.session import Session, SessionStatus
from sku.serving.streaming import ColumnState
from sku.serving.variant_catalog import CatalogEntry

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens


class FallbackSession:
    """Passes every call to the live session, or to the recorded one while the live one has an error."""

    def __init__(self, live: Session, recorded: Session) -> None:
        self._live, self._recorded = live, recorded

    @property
    def _current(self) -> Session:
        return self._recorded if self._live.status.error and self._recorded.model_name else self._live

    @property
    def status(self) -> SessionStatus:
        """That of the session which answers, with the live one's error as the reason if it is the recorded one."""
        found = self._current.status
        if found.mode == "recorded":
            return dataclasses.replace(found, fallback_reason=self._live.status.error or "")
        return found

    @property
    def model_name(self) -> str:
        """The base model's name."""
        return self._current.model_name

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """Of the session that answers."""
        return self._current.choices(owner)

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """Of the session that answers."""
        return self._current.ask(prompt, variants, config, cancelled, attack, before)

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """Of the session that answers."""
        return self._current.answers(prompts, variants, config, attack, before)

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """Of the session that answers."""
        return self._current.verdicts(prompt, texts)

    def draws_harm(self, prompt: str) -> bool | None:
        """Of the session that answers."""
        return self._current.draws_harm(prompt)

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> Sequence[float | None]:
        """Of the session that answers."""
        return self._current.divergence(prompt, answer, variants, before)

    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> TokenLens:
        """Of the session that answers."""
        return self._current.lens(prompt, answer, variants, before)

    def zero_difference(self, text: str, prompt: str) -> float:
        """Of the session that answers."""
        return self._current.zero_difference(text, prompt)


if TYPE_CHECKING:

    def _check(session: FallbackSession) -> Session:
        return session
