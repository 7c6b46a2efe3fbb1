"""A session that stands before another one: every call goes on, until a subclass says otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class PassingSession(ABC):
    """Passes every call to `answering`. `session.py` describes the methods."""

    @property
    @abstractmethod
    def answering(self) -> Session:
        """The session that answers now."""

    @property
    def status(self) -> SessionStatus:
        """Of the session that answers."""
        return self.answering.status

    @property
    def model_name(self) -> str:
        """Of the session that answers."""
        return self.answering.model_name

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """Of the session that answers."""
        return self.answering.choices(owner)

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
        return self.answering.ask(prompt, variants, config, cancelled, attack, before)

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """Of the session that answers."""
        return self.answering.answers(prompts, variants, config, attack, before)

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        """Of the session that answers."""
        return self.answering.verdicts(prompt, texts)

    def draws_harm(self, prompt: str) -> bool | None:
        """Of the session that answers."""
        return self.answering.draws_harm(prompt)

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> Sequence[float | None]:
        """Of the session that answers."""
        return self.answering.divergence(prompt, answer, variants, before)

    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> TokenLens:
        """Of the session that answers."""
        return self.answering.lens(prompt, answer, variants, before)

    def zero_difference(self, text: str, prompt: str) -> float:
        """Of the session that answers."""
        return self.answering.zero_difference(text, prompt)


if TYPE_CHECKING:

    def _check(session: PassingSession) -> Session:
        return session
