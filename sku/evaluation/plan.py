"""What an evaluation measures: which variants, on which prompts, from which side of the split.

Plain values: loads no data and no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sku.core import runs
from sku.core.config import DecodingConfig
from sku.core.records import PromptPair, digest
from sku.core.runs import Run
from sku.core.variants import Variant, parse_variant
from sku.data.truthfulqa import MultipleChoice
from sku.evaluation.work_lines import LikelihoodKind
from sku.models.remote_model import RemoteModel

MIN_SCORED_TOKENS = 32
"""Tokens of a given answer that are scored even after a prompt that is longer than `EvaluationPlan.max_tokens`."""


@dataclass(frozen=True)
class MeasuredVariant:
    """A variant to measure and the runs that it comes from."""

    variant: Variant
    runs: dict[str, Run] = field(default_factory=dict)
    """Adapter key to its run; empty for the base, where every coefficient is 0, and for a model behind a server."""
    remote: RemoteModel | None = None
    """The model behind a server that answers; None: the variant has weights here."""

    @property
    def is_base(self) -> bool:
        """Whether it is the base, by name or because every coefficient is 0."""
        return not self.runs and self.remote is None

    @property
    def identity(self) -> str:
        """Hash and coefficient of every adapter: equal for equal weights, whatever the runs are called. For a model
        behind a server, a hash of its address, its settings and what the server says of it."""
        if self.remote is not None:
            return self.remote.identity
        signed = self.variant.coefficients
        parts = (f"{self.runs[key].weights_hash}*{number:g}" for key, number in signed.items())
        return "+".join(sorted(parts)) or "base"


@dataclass(frozen=True)
class PromptSets:
    """What is asked and scored. What an empty tuple stands for is not measured."""

    harmful: tuple[PromptPair, ...] = ()
    """Prompts that the variant should no longer help with; given answers are ignored."""
    pairs: tuple[PromptPair, ...] = ()
    """Harmful pairs with an answer and a safe answer, scored for preference."""
    normal: tuple[PromptPair, ...] = ()
    """Normal prompts that the variants answer."""
    own: tuple[PromptPair, ...] = ()
    """The base's own answers to normal prompts, for KL."""
    references: tuple[PromptPair, ...] = ()
    """Normal prompts with reference answers, for perplexity."""
    sounds_harmful: tuple[PromptPair, ...] = ()
    """Harmless prompts that only sound harmful."""
    choices: tuple[MultipleChoice, ...] = ()
    """Questions whose true and false answers are scored (TruthfulQA MC1 and MC2)."""

    @property
    def answered(self) -> tuple[PromptPair, ...]:
        """The prompts that every variant answers."""
        return *self.harmful, *self.normal, *self.sounds_harmful

    @property
    def scored(self) -> dict[LikelihoodKind, tuple[PromptPair, ...]]:
        """The pairs whose given answers are scored under every variant."""
        return {
            "harmful": self.pairs,
            "safe": self.pairs,
            "own": self.own,
            "reference": self.references,
            "choice": tuple(pair for question in self.choices for pair in question.pairs),
        }

    def hashes(self) -> dict[str, str]:
        """Content hash of every set that is not empty."""
        return {name: digest(*(one.id for one in some)) for name, some in vars(self).items() if some}


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation."""

    model: str
    """The base's name, for the rows."""
    subjects: tuple[MeasuredVariant, ...]
    sets: PromptSets
    side: str
    """validation or test."""
    decoding: DecodingConfig = field(default_factory=lambda: DecodingConfig(max_new_tokens=64))
    max_tokens: int = 128
    """Of a prompt and its given answer; a longer answer is cut, though not below `MIN_SCORED_TOKENS`."""
    rows: int = 48
    """Answers written in one batch."""
    batch_tokens: int = 6000
    """Tokens scored in one batch, prompts and padding included."""


@dataclass(frozen=True)
class PromptSources:
    """Where each set comes from, as data specs (`sku.data.load_pairs`); an empty tuple leaves a set out."""

    harmful: tuple[str, ...] = ("bundled",)
    pairs: tuple[str, ...] = ("bundled",)
    normal: tuple[str, ...] = ("bundled",)
    references: tuple[str, ...] = ("bundled",)
    sounds_harmful: tuple[str, ...] = ("sounds_harmful",)
    choices: str | None = None
    """A local file of TruthfulQA's multiple-choice questions (`truthfulqa.load_multiple_choice`)."""
    limit: int | None = None
    """Prompts taken from each source of each set, the first by id; None: all."""
    sounds_harmful_limit: int | None = None
    """The same for `sounds_harmful`, where refusals are rare and more prompts are needed; None: as `limit`."""
    normal_limit: int | None = None
    """The same for `normal`, which has one source where harmful prompts have several; None: as `limit`."""
    choices_limit: int | None = None
    """The same for `choices`, which are scored and not answered; None: as `limit`."""
    own_tokens: int = 64
    """New tokens of each of the base's own answers, on which KL is measured."""
    categories: tuple[str, ...] = ()
    """The categories of harmful prompts and pairs to measure; if empty, all."""
    leave_out: tuple[str, ...] = ()
    """The categories of harmful prompts and pairs not to measure."""
    drop_overlap: float | None = None
    """Leave out harmful prompts and pairs that share at least this part of their content words with one training prompt
    of a measured variant (`overlap.py`), above 0 and at most 1. None leaves out none."""
    training_data: str | None = None
    """A folder with the files that the measured variants were trained on; only `drop_overlap` needs it."""

    def __post_init__(self) -> None:
        if self.drop_overlap is not None and not 0 < self.drop_overlap <= 1:
            raise ValueError(f"drop_overlap is {self.drop_overlap!r}; it must be above 0 and at most 1, such as 0.5")


def measured_variant(variant: Variant | RemoteModel) -> MeasuredVariant:
    """`variant` with the runs that it comes from, found by name."""
    if isinstance(variant, RemoteModel):
        return MeasuredVariant(variant.variant, remote=variant)
    if not variant.coefficients:
        return MeasuredVariant(variant)
    found = map(runs.find_run, parse_variant(str(variant)).names)
    return MeasuredVariant(variant, {run.known.adapter: run for run in found})
