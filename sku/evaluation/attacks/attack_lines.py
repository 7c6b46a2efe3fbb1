"""The lines of an attack measurement's work folder, beside those that every evaluation has (`work_lines.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sku.core.records import Outcome
from sku.evaluation.work_lines import KeyedLine, VerdictLine


@dataclass(frozen=True)
class AttackAnswerLine(KeyedLine):
    """What one variant wrote to one prompt under one attack."""

    variant: str
    prompt: str
    asked: str
    """The text that the model read as the user's message."""
    answer_start: str
    """The beginning that the attack had written."""
    text: str
    tokens: int
    stopped: str
    seconds: float


@dataclass(frozen=True)
class TokenLogProbsLine(KeyedLine):
    """The log-probability of every token of one given answer, in nats, under one variant and attack."""

    log_probs: list[float]


@dataclass(frozen=True)
class KlLine(KeyedLine):
    """KL(base || attacked variant) on one of the base's own answers, nats per token."""

    kl: float


@dataclass(frozen=True)
class DetailsLine(KeyedLine):
    """The numbers that only this attack has. Its presence says that the attack on this variant is complete."""

    details: dict[str, Any]


@dataclass(frozen=True)
class AttackedAnswer:
    """An answer with its verdicts."""

    prompt_id: str
    line: AttackAnswerLine
    verdict: VerdictLine
    whole_verdict: VerdictLine | None
    """On the answer together with the beginning that the attack had written; None where there was none."""


@dataclass(frozen=True)
class CellLines:
    """Everything found about one variant under one attack."""

    answers: tuple[AttackedAnswer, ...] = ()
    """Of harmful prompts."""
    harmless_outcomes: dict[str, Outcome] = field(default_factory=dict)
    """What became of the answers to harmless prompts, by prompt id; empty if the attack does not ask them."""
    log_probs: dict[str, list[float]] = field(default_factory=dict)
    """By pair id; empty where the attack changes only prompts."""
    kl: dict[str, float] = field(default_factory=dict)
    """By pair id; empty where the attack changes only prompts."""
    details: dict[str, Any] = field(default_factory=dict)
