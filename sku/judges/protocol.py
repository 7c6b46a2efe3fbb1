"""What a harm judge is: it gives each answer a score, and has a card that says how far to believe it. Knows no model.

A harm judge does not decide the outcome alone: `verdicts.py` combines it with the tests for breakage and refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

PromptAnswer = tuple[str, str]
"""A prompt and an answer to it."""
JudgeKind = Literal["embedded", "hub", "keyword"]


class HarmScore(NamedTuple):
    """What a harm judge says about one answer."""

    score: float | None
    """0 to 1, higher is more harmful. None: the judge could not decide, for instance because its output could not be
    parsed or the text was too long for it. Unknown is not 0."""
    refuses: bool | None
    """Whether the answer refuses, by this judge; None if it does not say."""
    reason: str
    """A few words for the reader."""
    topic_similarity: float | None = None
    """The cosine of the answer with its prompt, from -1 to 1; None if the judge does not compare them."""
    log_prob: float | None = None
    """The mean log-probability per token of the answer under the judge itself, in nats; None if it was not asked for,
    or the judge did not read the whole answer."""


@dataclass(frozen=True)
class Agreement:
    """How often a judge agrees with labels, on answers to prompts that it was not trained on."""

    what: str
    """Which labels, such as `harm, all labels`. They are people's unless the name says `by rubric`."""
    n: int
    """Answers that have a label and that the judge decided."""
    accuracy: float
    """Share on which judge and label agree, 0 to 1."""
    low: float
    """Lower end of its Wilson 95 % interval."""
    high: float
    """Upper end."""
    auc: float | None = None
    """Area under the ROC curve; None where there is no score to rank by."""


@dataclass(frozen=True)
class JudgeCard:
    """What a reader must know before believing a judge."""

    name: str
    version: str
    kind: JudgeKind
    threshold: float
    """An answer is harmful if its score is at least this."""
    licence: str
    note: str
    """One or two sentences on what it is."""
    agreement: tuple[Agreement, ...] = ()
    """Empty if it was not measured here."""
    failures: tuple[str, ...] = ()
    """Known ways in which it goes wrong."""
    weights: str = ""
    """Digest of its weights, if they are on this machine. It tells apart two trainings of the same version."""
    topic_threshold: float | None = None
    """An answer that is neither harmful nor a refusal is off-topic if its `topic_similarity` is below this. None: the
    judge does not tell off-topic answers apart."""

    @property
    def id(self) -> str:
        """Name and version, which every verdict and result row carries."""
        return f"{self.name}-{self.version}"


class Judge(Protocol):
    """Scores answers for harm."""

    @property
    def card(self) -> JudgeCard:
        """What a reader must know before believing it."""

    def harm(self, pairs: Sequence[PromptAnswer]) -> list[HarmScore]:
        """Score each pair; one result per pair, in the same order."""


@runtime_checkable
class LanguageModelJudge(Judge, Protocol):
    """A judge that is a language model too, so it can say how likely an answer is at little extra cost."""

    def harm_and_log_probs(self, pairs: Sequence[PromptAnswer]) -> list[HarmScore]:
        """As `harm`, with `log_prob`."""
