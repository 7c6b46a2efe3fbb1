"""What an evaluation is to do: who is asked what, on which side of the split; from names of data to its sets. Writes
nothing but the base's own answers, which are cached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from sku.core import runs
from sku.core.config import DecodingConfig
from sku.core.records import PairKind, PromptPair, digest
from sku.core.runs import Run
from sku.core.variants import Variant, parse_variant
from sku.data import load_pairs, splits
from sku.data.splits import Side, split
from sku.data.truthfulqa import MultipleChoice, load_multiple_choice
from sku.models.base_answers import write_base_answers
from sku.models.variant_model import VariantModel

MIN_SCORED_TOKENS = 32
"""Tokens of a given answer that are scored after however long a prompt."""


@dataclass(frozen=True)
class MeasuredVariant:
    """A variant to be measured and where it comes from."""

    variant: Variant
    runs: dict[str, Run] = field(default_factory=dict)
    """Adapter key to the run that it comes from; empty for the base, and where every coefficient is 0."""

    @property
    def is_base(self) -> bool:
        """Whether it is the base, by name or because every coefficient is 0."""
        return not self.runs

    @property
    def identity(self) -> str:
        """The same for the same weights at the same coefficients, whatever the runs are called."""
        signed = self.variant.coefficients
        parts = (f"{_weights_hash(self.runs[key].adapter)}*{number:g}" for key, number in signed.items())
        return "+".join(sorted(parts)) or "base"


@dataclass(frozen=True)
class PromptSets:
    """What is asked and scored. A tuple that is empty is not measured."""

    harmful: tuple[PromptPair, ...] = ()
    """Prompts that should no longer be helped with; a given answer is not looked at."""
    pairs: tuple[PromptPair, ...] = ()
    """Harmful pairs with an answer and a safe answer, scored for preference."""
    normal: tuple[PromptPair, ...] = ()
    """Normal prompts to be answered."""
    own: tuple[PromptPair, ...] = ()
    """The base's own answers to normal prompts, for KL."""
    references: tuple[PromptPair, ...] = ()
    """Normal prompts with reference answers, for perplexity."""
    sounds_harmful: tuple[PromptPair, ...] = ()
    """Harmless prompts that only sound harmful."""
    choices: tuple[MultipleChoice, ...] = ()
    """Questions whose true and false answers are scored (TruthfulQA MC1 and MC2)."""

    def hashes(self) -> dict[str, str]:
        """Set to the content hash of what is in it."""
        return {name: digest(*(one.id for one in some)) for name, some in vars(self).items() if some}


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation."""

    model: str
    """Name of the base, for the rows."""
    subjects: tuple[MeasuredVariant, ...]
    sets: PromptSets
    side: str
    """validation or test."""
    decoding: DecodingConfig = field(default_factory=lambda: DecodingConfig(max_new_tokens=64))
    max_tokens: int = 128
    """Of prompt and given answer; a longer answer is cut, though not below `AT_LEAST` tokens."""
    rows: int = 48
    """Rows of a decoding batch."""
    batch_tokens: int = 6000
    """Tokens of a likelihood batch."""


@dataclass(frozen=True)
class PromptSources:
    """Data specs (`sku.data.load`) of each set; an empty tuple leaves a set out."""

    harmful: tuple[str, ...] = ("bundled",)
    pairs: tuple[str, ...] = ("bundled",)
    normal: tuple[str, ...] = ("bundled",)
    references: tuple[str, ...] = ("bundled",)
    sounds_harmful: tuple[str, ...] = ("sounds_harmful",)
    choices: str | None = None
    """TruthfulQA's questions with answers to choose from, a local file (`truthfulqa.load_multiple_choice`)."""
    limit: int | None = None
    """At most so many prompts of each source and set, the first by id."""
    sounds_harmful_limit: int | None = None
    """The same for `sounds_harmful`, whose refusals are few, so that they want more prompts; None: as `limit`."""
    normal_limit: int | None = None
    """The same for `normal`, of which there is one source where harmful prompts have several."""
    choices_limit: int | None = None
    """The same for `choices`, which are scored and not answered."""
    own_tokens: int = 64
    """Length of the base's own answers, on which KL is measured."""


def load_prompt_sets(model: VariantModel, sources: PromptSources, side: str | None) -> PromptSets:
    """The pairs of every set.

    Args:
        model: its base writes its own answers to the normal prompts.
        sources: where they come from.
        side: of the split; None: the test side of sources that are known by name, all of a user's own file.

    Raises:
        ValueError: if a source has no prompt on that side.
    """

    def chosen(specs: Iterable[str], kind: PairKind, limit: int | None = sources.limit) -> tuple[PromptPair, ...]:
        found: dict[str, PromptPair] = {}
        for spec in specs:
            pairs = _on_side(load_pairs(spec, kind).pairs, spec, side)
            if not pairs:
                raise ValueError(
                    f"{spec} has no prompt on the {side or 'test'} side; give more prompts, or another --side"
                )
            by_id = sorted({pair.prompt_id: pair for pair in pairs}.items())
            found |= dict(by_id[:limit])
        return tuple(found.values())

    def questions() -> tuple[MultipleChoice, ...]:
        if sources.choices is None:
            return ()
        mine = [
            one
            for one in load_multiple_choice(Path(sources.choices))
            if splits.side_of(one.prompt_id) == (side or "test")
        ]
        return tuple(sorted(mine, key=lambda one: one.prompt_id)[: sources.choices_limit or sources.limit])

    normal = chosen(sources.normal, "normal", sources.normal_limit or sources.limit)
    return PromptSets(
        harmful=chosen(sources.harmful, "harmful"),
        pairs=tuple(pair for pair in chosen(sources.pairs, "harmful") if pair.answer and pair.safe_answer),
        normal=normal,
        own=tuple(write_base_answers(model, normal, sources.own_tokens)),
        references=tuple(pair for pair in chosen(sources.references, "normal") if pair.answer),
        sounds_harmful=chosen(sources.sounds_harmful, "normal", sources.sounds_harmful_limit or sources.limit),
        choices=questions(),
    )


def measured_variant(variant: Variant) -> MeasuredVariant:
    """The variant with the runs that it comes from."""
    if not variant.coefficients:
        return MeasuredVariant(variant)
    found = map(runs.find_run, parse_variant(str(variant)).names)
    return MeasuredVariant(variant, {run.known.adapter: run for run in found})


def _weights_hash(adapter: Path) -> str:
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    return hashlib.sha256(weights).hexdigest()[:16]


def _on_side(pairs: Sequence[PromptPair], spec: str, side: str | None) -> Sequence[PromptPair]:
    if side is None and Path(spec.partition("#")[0]).expanduser().is_file():
        return pairs
    return split(pairs, cast(Side, side or "test"))
