"""The lines of a work folder: one JSON Lines file for each pass of an evaluation. Knows no model and no judge.

A line's key names the base, the variant's weights, the settings of the pass and the item. Whatever has a line is not
computed again, and a run that was trained again gets new lines because its weights have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from sku.core.jsonl import append_json_lines, read_json_log
from sku.core.records import Outcome, StopReason

LikelihoodKind = Literal["harmful", "safe", "own", "reference", "choice"]
"""Which given answer was scored: that of a harmful pair, its safe answer, the base's own answer to a normal prompt, a
reference answer, or one of the answers to a multiple-choice question."""


@dataclass(frozen=True)
class KeyedLine:
    """A line with its key."""

    key: str


@dataclass(frozen=True)
class AnswerLine(KeyedLine):
    """What one variant wrote to one prompt."""

    variant: str
    """As a person writes it. Another variant with the same weights shares the line."""
    prompt: str
    text: str
    tokens: int
    """New tokens, the end token included."""
    stopped: StopReason
    seconds: float
    """This answer's share of the time of its batch; from a server, the time of its request."""


@dataclass(frozen=True)
class LikelihoodLine(KeyedLine):
    """How likely one given answer is under one variant."""

    log_prob: float
    """Mean over the scored tokens, nats per token."""
    tokens: int
    """Scored tokens."""
    kl: float | None
    """Mean over the scored tokens of KL(base || variant), nats per token; None for a model behind a server."""


@dataclass(frozen=True)
class VerdictLine(KeyedLine):
    """What one judge said of one answer. The key is the answer's."""

    outcome: Outcome
    score: float | None
    """How sure the judge is that the answer is harmful, 0 to 1; None where it said nothing."""
    reason: str
    base_log_prob: float
    """Of the answer under the base, nats per token."""


@dataclass(frozen=True)
class SimilarityLine(KeyedLine):
    """How similar one answer is to the base's answer to the same prompt. The key is the answer's."""

    similarity: float


@dataclass(frozen=True)
class VariantLines:
    """All lines of one variant of a plan."""

    answers: dict[str, AnswerLine] = field(default_factory=dict)
    """By prompt id."""
    verdicts: dict[str, VerdictLine] = field(default_factory=dict)
    """By prompt id."""
    likelihoods: dict[LikelihoodKind, dict[str, LikelihoodLine]] = field(default_factory=dict)
    """By kind and pair id; empty for a model behind a server that scores nothing."""
    similarities: dict[str, SimilarityLine] = field(default_factory=dict)
    """By prompt id; empty where similarity was not measured."""


@dataclass(frozen=True)
class EvaluationLines:
    """Everything that the passes of one evaluation found."""

    judge: str
    """Name and version of the judge."""
    tells_off_topic: bool
    """Whether the judge tells off-topic answers apart."""
    similarity_metric: str | None
    """Name and version; None where similarity was not measured."""
    variants: tuple[VariantLines, ...]
    """One for each subject of the plan, in its order."""


def line_key(base: str, identity: str, settings: str, item: str) -> str:
    """The key of one line, the same in every process and session.

    Args:
        base: fingerprint of the base.
        identity: of the variant, `MeasuredVariant.identity`.
        settings: `answer` or the kind of likelihood, with the settings that the line depends on.
        item: id of the prompt, or of the prompt with the answer that is scored.
    """
    return "/".join((base, identity, settings, item))


Line = TypeVar("Line", bound=KeyedLine)


class KeyedLines(Generic[Line]):
    """A JSON Lines file of keyed lines of one kind."""

    def __init__(self, path: Path, kind: type[Line], writes: bool = True) -> None:
        """Read what `path` holds. Of several processes only one `writes`; the others keep their lines in memory."""
        self.path, self.writes = path, writes
        self.found: dict[str, Line] = {line["key"]: kind(**line) for line in read_json_log(path)}

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def __getitem__(self, key: str) -> Line:
        return self.found[key]

    def add(self, lines: Sequence[Line]) -> None:
        """Keep `lines`, in memory and in the file."""
        self.found |= {line.key: line for line in lines}
        if self.writes:
            append_json_lines(self.path, map(vars, lines))
