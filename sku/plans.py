"""Names of data to the sets of an evaluation: who is asked what, and on which side of the split. Writes nothing but the
base's own answers, which are cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sku import runs
from sku.data import load, splits
from sku.data.splits import Side, split
from sku.data.truthfulqa import Choices, choices
from sku.evaluation import Sets, Subject
from sku.model import VariantModel
from sku.records import Kind, PromptPair
from sku.self_answers import self_answers
from sku.variants import Variant, parse


@dataclass(frozen=True)
class Sources:
    """Data specs (`sku.data.load`) of each set; an empty tuple leaves a set out."""

    harmful: tuple[str, ...] = ("bundled",)
    pairs: tuple[str, ...] = ("bundled",)
    normal: tuple[str, ...] = ("bundled",)
    references: tuple[str, ...] = ("bundled",)
    sounds_harmful: tuple[str, ...] = ("sounds_harmful",)
    choices: str | None = None
    """TruthfulQA's questions with answers to choose from, a local file (`truthfulqa.choices`)."""
    limit: int | None = None
    """At most so many prompts of each source and set, the first by id."""
    sounds_harmful_limit: int | None = None
    """The same for `sounds_harmful`, whose refusals are few, so that they want more prompts; None: as `limit`."""
    own_tokens: int = 64
    """Length of the base's own answers, on which KL is measured."""


def sets_of(model: VariantModel, sources: Sources, side: str | None) -> Sets:
    """The pairs of every set.

    Args:
        model: its base writes its own answers to the normal prompts.
        sources: where they come from.
        side: of the split; None: the test side of sources that are known by name, all of a user's own file.

    Raises:
        ValueError: if a source has no prompt on that side.
    """

    def chosen(specs: Iterable[str], kind: Kind, limit: int | None = sources.limit) -> tuple[PromptPair, ...]:
        found: dict[str, PromptPair] = {}
        for spec in specs:
            pairs = _on_side(load(spec, kind).pairs, spec, side)
            if not pairs:
                raise ValueError(f"{spec} has no prompt on the {side or 'test'} side; give more prompts, or --side all")
            by_id = sorted({pair.prompt_id: pair for pair in pairs}.items())
            found |= dict(by_id[:limit])
        return tuple(found.values())

    def questions() -> tuple[Choices, ...]:
        if sources.choices is None:
            return ()
        mine = [one for one in choices(Path(sources.choices)) if splits.side(one.prompt_id) == (side or "test")]
        return tuple(sorted(mine, key=lambda one: one.prompt_id)[: sources.limit])

    normal = chosen(sources.normal, "normal")
    return Sets(
        harmful=chosen(sources.harmful, "harmful"),
        pairs=tuple(pair for pair in chosen(sources.pairs, "harmful") if pair.answer and pair.safe_answer),
        normal=normal,
        own=tuple(self_answers(model, normal, sources.own_tokens)),
        references=tuple(pair for pair in chosen(sources.references, "normal") if pair.answer),
        sounds_harmful=chosen(sources.sounds_harmful, "normal", sources.sounds_harmful_limit or sources.limit),
        choices=questions(),
    )


def subject(variant: Variant) -> Subject:
    """The variant with the run that it comes from."""
    return Subject(variant, runs.find(parse(str(variant)).name) if variant.coefficients else None)


def _on_side(pairs: Sequence[PromptPair], spec: str, side: str | None) -> Sequence[PromptPair]:
    if side is None and Path(spec.partition("#")[0]).expanduser().is_file():
        return pairs
    return split(pairs, cast(Side, side or "test"))
