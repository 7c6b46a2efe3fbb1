"""Load the prompts and pairs of an evaluation. Only the base's own answers need a model; they are cached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from sku.core.records import PairKind, PromptPair
from sku.data import load_pairs, splits
from sku.data.splits import Side, split
from sku.data.truthfulqa import MultipleChoice, load_multiple_choice
from sku.evaluation.plan import PromptSets, PromptSources
from sku.models.base_answers import write_base_answers
from sku.models.variant_model import VariantModel


def load_prompt_sets(model: VariantModel, sources: PromptSources, side: str | None) -> PromptSets:
    """Load the pairs of every set.

    Args:
        model: its base answers the normal prompts.
        sources: where the pairs come from.
        side: of the split; None: the test side of sources with a name, and all of a user's own file.

    Raises:
        ValueError: if a source has no prompt on that side.
    """
    limit = sources.limit
    normal = _load_set(sources.normal, "normal", side, sources.normal_limit or limit)
    references = _load_set(sources.references, "normal", side, limit)
    sounds_harmful_limit = sources.sounds_harmful_limit or limit
    return PromptSets(
        harmful=_load_set(sources.harmful, "harmful", side, limit),
        pairs=tuple(p for p in _load_set(sources.pairs, "harmful", side, limit) if p.answer and p.safe_answer),
        normal=normal,
        own=tuple(write_base_answers(model, normal, sources.own_tokens)),
        references=tuple(pair for pair in references if pair.answer),
        sounds_harmful=_load_set(sources.sounds_harmful, "normal", side, sounds_harmful_limit),
        choices=_load_choices(sources.choices, side, sources.choices_limit or limit) if sources.choices else (),
    )


def _load_set(specs: Iterable[str], kind: PairKind, side: str | None, limit: int | None) -> tuple[PromptPair, ...]:
    """At most `limit` pairs of each source, one for each prompt."""
    found: dict[str, PromptPair] = {}
    for spec in specs:
        pairs = _on_side(load_pairs(spec, kind).pairs, spec, side)
        if not pairs:
            raise ValueError(f"{spec} has no prompt on the {side or 'test'} side; give more prompts, or another --side")
        by_id = sorted({pair.prompt_id: pair for pair in pairs}.items())
        found |= dict(by_id[:limit])
    return tuple(found.values())


def _load_choices(path: str, side: str | None, limit: int | None) -> tuple[MultipleChoice, ...]:
    questions = load_multiple_choice(Path(path))
    on_side = [one for one in questions if splits.side_of(one.prompt_id) == (side or "test")]
    return tuple(sorted(on_side, key=lambda one: one.prompt_id)[:limit])


def _on_side(pairs: Sequence[PromptPair], spec: str, side: str | None) -> Sequence[PromptPair]:
    if side is None and Path(spec.partition("#")[0]).expanduser().is_file():
        return pairs
    return split(pairs, cast(Side, side or "test"))
