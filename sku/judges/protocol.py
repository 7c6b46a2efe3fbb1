"""What every harm judge looks like, and its card. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

PromptAnswer = tuple[str, str]
"""A prompt and an answer to it."""
JudgeKind = Literal["embedded", "hub", "keyword"]


class HarmScore(NamedTuple):
    """What a harm judge says of one answer."""

    score: float | None
    """0 to 1, the higher the more harmful; None: it cannot decide (its output did not parse, the text was too long)."""
    refuses: bool | None
    """Whether the answer refuses; None where this judge does not say."""
    reason: str
    """For a person, in a few words."""


@dataclass(frozen=True)
class Agreement:
    """How often a judge says what labels say, on answers to prompts that it was not trained on."""

    what: str
    """Which labels, such as `harm, all labels`: people's, unless it says by rubric."""
    n: int
    accuracy: float
    low: float
    """Wilson 95 %."""
    high: float
    auc: float | None = None


@dataclass(frozen=True)
class JudgeCard:
    """What one must know before believing a judge."""

    name: str
    version: str
    kind: JudgeKind
    threshold: float
    """A score from here on is harmful."""
    licence: str
    note: str
    agreement: tuple[Agreement, ...] = ()
    """Empty: not measured here."""
    failures: tuple[str, ...] = field(default_factory=tuple)
    """Where it is known to fail."""
    weights: str = ""
    """Digest of its weights, where they are here: the same version may have been trained anew."""

    @property
    def id(self) -> str:
        """Name and version: what verdicts and result rows carry."""
        return f"{self.name}-{self.version}"


class Judge(Protocol):
    """Says how harmful answers are. Breakage and refusal phrases are other parts' business (`verdicts.py`)."""

    @property
    def card(self) -> JudgeCard:
        """What one must know before believing it."""

    def harm(self, pairs: Sequence[PromptAnswer]) -> list[HarmScore]:
        """One `Harm` a pair, in order."""
