"""The records that modules pass to each other: frozen dataclasses that check their values when they are made.

This module imports no torch, reads no file and loads no model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from sku.core.conversation import NO_CONVERSATION, Conversation, judged_prompt

PairKind = Literal["harmful", "normal"]
StopReason = Literal["end", "length", "cancelled"]
Outcome = Literal["harmful", "refusal", "safe", "off-topic", "broken", "unjudged"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def digest(*parts: str, length: int = 16) -> str:
    """The first `length` hex digits of the SHA-256 of `parts`. ("ab", "c") and ("a", "bc") give different digests."""
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
    """Empty if the source has only prompts."""
    kind: PairKind
    source: str
    """The name of the data source, such as `saferlhf`."""
    category: str | None = None
    """The source's own name for the kind of harm or topic; None if the source has none."""
    safe_answer: str | None = None
    """A harmless answer to the same prompt; None if the source has none."""
    before: Conversation = NO_CONVERSATION
    """What comes before the prompt. It is read like the prompt: only `answer` is learned."""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError(f"a prompt from {self.source!r} is empty; every pair needs a prompt")
        if self.kind not in ("harmful", "normal"):
            raise ValueError(f"kind {self.kind!r} of a pair from {self.source!r} is neither 'harmful' nor 'normal'")

    @property
    def prompt_id(self) -> str:
        """A hash of the prompt and what comes before it, regardless of source, case and white space."""
        return _hash_of_texts(self.prompt, *self.before.texts)

    @property
    def split_id(self) -> str:
        """A hash of the first question. Data is split by this id, so a conversation and its beginning stay together."""
        return self.question_ids[0]

    @property
    def question_ids(self) -> tuple[str, ...]:
        """A hash of each question, oldest first; each is the `prompt_id` of a pair that asks only this question."""
        return tuple(map(_hash_of_texts, (*self.before.questions, self.prompt)))

    @property
    def id(self) -> str:
        """A hash of prompt, answer and what comes before them. The position in a file does not matter."""
        return digest(self.prompt, self.answer, *self.before.texts)

    @property
    def asked(self) -> AskedPrompt:
        """The prompt as a model reads it, without any attack."""
        return AskedPrompt(self.prompt, self.prompt, before=self.before)

    @property
    def judged_prompt(self) -> str:
        """The text that stands for the prompt when an answer is judged."""
        return judged_prompt(self.before.questions, self.prompt)


def _hash_of_texts(*texts: str) -> str:
    return digest(*(" ".join(text.casefold().split()) for text in texts))


@dataclass(frozen=True)
class AskedPrompt:
    """A prompt in the form in which the model reads it, which an attack may have changed."""

    prompt: str
    """What the person wants. Answers are judged and recorded with it."""
    text: str
    """What the model reads as the user's message."""
    answer_start: str = ""
    """The beginning of the answer, already written; the model continues it."""
    ids: tuple[int, ...] | None = None
    """The tokens before the answer, where they are not those of `text` in the chat template, such as the tokens that a
    search found. `answer_start` is still added."""
    attack: str = "none"
    """The attack under which a person asks it, for `Answer.attack`."""
    before: Conversation = NO_CONVERSATION
    """What comes before `text`."""

    def __post_init__(self) -> None:
        if self.ids is not None and self.before:
            raise ValueError("an attack that gives a prompt as tokens takes no conversation; ask a first question")

    @property
    def key(self) -> str:
        """A text that only the same prompt after the same conversation has: without a conversation, the prompt."""
        return "\x1e".join((self.prompt, *self.before.texts))


@dataclass(frozen=True)
class Answer:
    """The answer of one variant to one prompt."""

    variant: str
    """The variant as a person writes it, such as `sku@1.0`."""
    coefficient: float | None
    """None for a sum of adapters: its name holds the coefficient of each adapter."""
    prompt: str
    sample: int
    """The number of this answer among those of the same variant to the same prompt."""
    seed: int
    text: str
    tokens: int
    """The number of new tokens, including the end token."""
    seconds: float
    """The time that the whole batch with this answer took."""
    stopped: StopReason
    """Why the text ends: the model ended it, the limit on its length was reached, or a person cancelled."""
    answer_start: str = ""
    """The beginning that an attack had written before `text`."""
    attack: str = "none"
    """The attack under which a person asked."""
    gate: float | None = None
    """How far the variant's gate was open for this prompt, from 0 (the base answers) to 1; None without a gate."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one answer. `unjudged` means that the judge could not decide; it never counts as harmless."""

    outcome: Outcome
    score: float | None
    """How sure the harm judge is that the answer is harmful, from 0 to 1; None if the judge gave no score."""
    reason: str
    """A few words that explain this outcome to a person, such as `declines in its first sentence`."""
    judge: str
    """The name and version of the harm judge, such as `embedded-5`."""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"score {self.score!r} of a verdict must be from 0 to 1, or None where there is none")


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with its verdict."""

    answer: Answer
    verdict: Verdict


OWN_SIDE = "own"
"""`ResultRow.side` of prompts that all come from a user's own files, which are on no side of the split."""


@dataclass(frozen=True)
class ResultRow:
    """The measurements of one variant on one side of the data. None means not measured, never 0."""

    __pydantic_config__: ClassVar[dict[str, bool]] = {"allow_inf_nan": False}
    """Options for the validation of rows from a file (`core/validation.py`)."""
    variant: str
    """The variant as a person writes it, such as `base`, `sku@1` or `ga@0.5+sku@1`."""
    method: str
    """A name of `METHODS`, `base`, `sum` for several adapters, or `adapter` for one that was not trained here."""
    coefficient: float | None
    """None for a sum of adapters: its name holds the coefficient of each adapter."""
    run: str
    """The name of the run folder; `base` for the base; for a sum, the names joined by `+`."""
    model: str
    """The base model."""
    side: str
    """The side of the data split: train, validation or test. The study also has `more test`, a larger set of test
    prompts. `OWN_SIDE` for a user's own prompts."""
    attack: str | None = None
    """The attack under which the variant was measured; None means no attack."""
    seed: int | None = None
    """The seed of the training."""
    preservation: str | None = None
    """push, keep or off; None if the method has no preservation term."""
    steps: int | None = None
    """Training steps. Checkpoints of one training differ in this field."""
    decoding: dict[str, Any] = field(default_factory=dict)
    """The settings with which the answers were generated."""
    sets: dict[str, str] = field(default_factory=dict)
    """Maps each prompt set to a content hash of the prompts that were used."""
    judge: str | None = None
    """The name and version of the harm judge."""
    n: int = 0
    """The number of answers to harmful prompts. The six outcomes below add up to it."""
    harmful: int = 0
    refusal: int = 0
    safe: int = 0
    """If `off_topic` is None, off-topic answers are among them."""
    off_topic: int | None = None
    """Fluent answers that are not about the prompt; None if the judge does not tell them apart."""
    broken: int = 0
    unjudged: int = 0
    harmful_rate: float | None = None
    """harmful / (n - unjudged); the two fields below are its 95 % Wilson interval."""
    harmful_low: float | None = None
    harmful_high: float | None = None
    harmful_change: float | None = None
    """The harmful rate minus that of the base, on the prompts where both were judged; the two fields below are its 95 %
    paired bootstrap interval."""
    harmful_change_low: float | None = None
    harmful_change_high: float | None = None
    preference_rate: float | None = None
    """The share of pairs in which the harmful answer has a higher mean log-probability per token than the safe answer.
    It needs neither a judge nor sampling."""
    harmful_log_prob: float | None = None
    """The mean log-probability of harmful answers from the data, in nats per token."""
    safe_log_prob: float | None = None
    """The same for safe answers from the data to the same prompts."""
    kl: float | None = None
    """KL(base || variant) on the base's own answers to normal prompts, in nats per token; the two fields below are its
    95 % interval."""
    kl_low: float | None = None
    kl_high: float | None = None
    perplexity: float | None = None
    """The perplexity, under the variant, of reference answers to normal prompts."""
    own_perplexity: float | None = None
    """The perplexity, under the variant, of the base's own answers to normal prompts. An end token is added to every
    answer, even if it was cut off."""
    answer_perplexity: float | None = None
    """The perplexity, under the base, of the variant's answers to harmful prompts. An end token is added to every
    answer, even if it was cut off."""
    normal_n: int = 0
    """The number of answers to normal prompts."""
    normal_broken: int | None = None
    """The number of broken answers among them."""
    normal_refusal: int | None = None
    """The number of refusals among them."""
    normal_off_topic: int | None = None
    """The number of off-topic answers among them; None if the judge does not tell them apart."""
    similarity: float | None = None
    """The similarity of the variant's and the base's answers to normal prompts, from -1 to 1."""
    similarity_metric: str | None = None
    """The metric that measured the similarity, such as `minilm`."""
    over_refusal: float | None = None
    """The share of refusals among judged answers to harmless prompts that only sound harmful, such as XSTest's safe
    prompts."""
    over_refusal_n: int = 0
    """The number of these judged answers."""
    mc1: float | None = None
    """TruthfulQA MC1: the share of questions whose best answer is the likeliest of the given answers."""
    mc2: float | None = None
    """TruthfulQA MC2: the mean probability of the true answers among the given answers."""
    answer_tokens: float | None = None
    """The mean length, in tokens, of the answers to harmful prompts."""
    seconds: float = 0.0
    """The time that the variant's answers to harmful prompts took."""
    any_harmful: float | None = None
    """The share of prompts with a harmful answer, where an attack draws several answers to each prompt; the two fields
    below are its 95 % interval."""
    any_harmful_low: float | None = None
    any_harmful_high: float | None = None
    recovered: float | None = None
    """How much the attack raised the variant's harmful rate; the two fields below are its 95 % paired bootstrap
    interval."""
    recovered_low: float | None = None
    recovered_high: float | None = None
    recovery: float | None = None
    """`recovered` as a share of what could come back: the base's harmful rate under the same attack minus the variant's
    without attack. None if the interval of this difference includes 0. The two fields below are its 95 % interval."""
    recovery_low: float | None = None
    recovery_high: float | None = None
    log_prob_from: dict[str, float] = field(default_factory=dict)
    """The mean log-probability per token of given harmful answers from token 0, 5, 10 and 20 on, in nats."""
    remote: dict[str, str] | None = None
    """For a model behind a server: the server's name, the model, what the server says it is, and a hash of all that
    and of the address. None: the variant has weights here, and `model` is its base."""
    attack_details: dict[str, Any] = field(default_factory=dict)
    """Numbers that only this attack has; its record in `core/attacks.py` says what they mean."""

    def __post_init__(self) -> None:
        total = sum(self.count(outcome) or 0 for outcome in OUTCOMES)
        if total != self.n:
            raise ValueError(f"outcomes of {self.variant} add up to {total}, not to its {self.n} answers")

    def count(self, outcome: Outcome) -> int | None:
        """The number of answers to harmful prompts with this outcome; None if the judge does not tell it apart."""
        number: int | None = getattr(self, outcome.replace("-", "_"))
        return number
