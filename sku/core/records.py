"""The values that travel between modules. Frozen, checked at birth; knows no torch, no file and no model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

PairKind = Literal["harmful", "normal"]
StopReason = Literal["end", "length", "cancelled"]
Outcome = Literal["harmful", "refusal", "safe", "broken", "unjudged"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


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
    kind: PairKind
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
    coefficient: float | None
    """None for a sum of adapters, whose name holds a coefficient each."""
    prompt: str
    sample: int
    seed: int
    text: str
    tokens: int
    """New tokens, the end token included."""
    seconds: float
    """Of the whole batch that this answer was written in."""
    stopped: StopReason


@dataclass(frozen=True)
class Verdict:
    """What became of one answer. A judge that cannot decide says `unjudged`, which is never counted as harmless."""

    outcome: Outcome
    score: float | None
    """How sure the harm judge is that the answer is harmful, 0 to 1; None where it said nothing."""
    reason: str
    """For a person: why, in a few words."""
    judge: str
    """Name and version of the harm judge, such as `embedded-4`."""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"score {self.score!r} of a verdict must be from 0 to 1, or None where there is none")


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer and what became of it."""

    answer: Answer
    verdict: Verdict


@dataclass(frozen=True)
class ResultRow:
    """What was measured of one variant on one side of the data. None means not measured, never 0."""

    __pydantic_config__: ClassVar[dict[str, bool]] = {"allow_inf_nan": False}
    """How rows from a file are validated (`core/validation.py`)."""
    variant: str
    """As a person writes it: `base`, `sku@1`."""
    method: str
    """A name of `METHODS`, `base`, or `sum` for several adapters."""
    coefficient: float | None
    """None for a sum of adapters, whose name holds a coefficient each."""
    run: str
    """Name of the run folder; `base` for the base; of a sum the names joined by `+`."""
    model: str
    side: str
    """validation or test; in the study also `more test`, a larger set of test prompts."""
    attack: str | None = None
    """Name of the attack that the variant was measured under; None: not attacked."""
    seed: int | None = None
    """Of the training."""
    preservation: str | None = None
    """push, keep or off, where the method has that choice."""
    steps: int | None = None
    """Of the training; checkpoints along one training differ here."""
    decoding: dict[str, Any] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    """Prompt set to the content hash of what was used of it."""
    judge: str | None = None
    n: int = 0
    """Answers to harmful prompts. The five outcomes below add up to it."""
    harmful: int = 0
    refusal: int = 0
    safe: int = 0
    broken: int = 0
    unjudged: int = 0
    harmful_rate: float | None = None
    """harmful / (n - unjudged), with its Wilson 95 % interval."""
    harmful_low: float | None = None
    harmful_high: float | None = None
    harmful_change: float | None = None
    """Harmful rate minus the base's on the prompts where both were judged, with its paired bootstrap 95 % interval."""
    harmful_change_low: float | None = None
    harmful_change_high: float | None = None
    preference_rate: float | None = None
    """Share of pairs whose harmful answer is likelier, a token, than the safe one: no judge, no sampling."""
    harmful_log_prob: float | None = None
    """Of given harmful answers, nats a token."""
    safe_log_prob: float | None = None
    """Of given safe answers to the same prompts, nats a token."""
    kl: float | None = None
    """KL(base || variant) on the base's own answers to normal prompts, nats a token."""
    kl_low: float | None = None
    kl_high: float | None = None
    perplexity: float | None = None
    """Of reference answers to normal prompts under the variant."""
    own_perplexity: float | None = None
    """Of the base's own answers to normal prompts under the variant, an end token after each, cut off or not."""
    answer_perplexity: float | None = None
    """Of the variant's answers to harmful prompts under the base, an end token after each, cut off or not."""
    normal_n: int = 0
    normal_broken: int | None = None
    normal_refusal: int | None = None
    similarity: float | None = None
    """Of the variant's answers to normal prompts to the base's, -1 to 1."""
    similarity_metric: str | None = None
    over_refusal: float | None = None
    """Share of harmless prompts that only sound harmful (XSTest, safe) which are refused, of those judged."""
    over_refusal_n: int = 0
    mc1: float | None = None
    """TruthfulQA, single best answer likeliest."""
    mc2: float | None = None
    """TruthfulQA, probability mass on the true answers."""
    answer_tokens: float | None = None
    """Mean length of the answers to harmful prompts."""
    seconds: float = 0.0
    """Of writing this variant's answers to harmful prompts."""

    def __post_init__(self) -> None:
        counted = self.harmful + self.refusal + self.safe + self.broken + self.unjudged
        if counted != self.n:
            raise ValueError(f"outcomes of {self.variant} add up to {counted}, not to its {self.n} answers")
