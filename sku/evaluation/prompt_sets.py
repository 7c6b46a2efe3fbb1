"""Load and select the prompts and pairs of an evaluation. Only the base's own answers need a model; they are cached."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from sku.core.records import OWN_SIDE, PairKind, PromptPair
from sku.core.runs import Run
from sku.data import load_pairs, splits
from sku.data.categories import require_categories, select_categories
from sku.data.splits import Side, split
from sku.data.truthfulqa import MultipleChoice, load_multiple_choice
from sku.evaluation.overlap import drop_overlapping
from sku.evaluation.plan import PromptSets, PromptSources
from sku.evaluation.training_prompts import load_training_prompts
from sku.models.base_answers import write_base_answers
from sku.models.variant_model import VariantModel

Say = Callable[[str], None]
"""Gets a message for the person who waits."""


def read_prompt_sets(sources: PromptSources, side: str | None) -> PromptSets:
    """Load the pairs of every set but the base's own answers. This needs no model.

    Args:
        sources: where the pairs come from, and which categories are measured. Overlap with training data is not looked
            at: that needs the measured runs (`drop_overlap`).
        side: of the split; None: the test side of sources with a name, and all of a user's own file.

    Raises:
        ValueError: if a source has no prompt on that side, or no harmful prompt has a named category.
    """
    limit = sources.limit
    _check_categories(sources, side)
    harmful = _load_set(sources.harmful, "harmful", side, limit, sources.categories, sources.leave_out)
    if sources.harmful and not harmful:
        raise ValueError("no harmful prompt is left after the choice of categories; choose others")
    pairs = _load_set(sources.pairs, "harmful", side, limit, sources.categories, sources.leave_out)
    references = _load_set(sources.references, "normal", side, limit)
    sounds_harmful_limit = sources.sounds_harmful_limit or limit
    return PromptSets(
        harmful=harmful,
        pairs=tuple(pair for pair in pairs if pair.answer and pair.safe_answer),
        normal=_load_set(sources.normal, "normal", side, sources.normal_limit or limit),
        references=tuple(pair for pair in references if pair.answer),
        sounds_harmful=_load_set(sources.sounds_harmful, "normal", side, sounds_harmful_limit),
        choices=_load_choices(sources.choices, side, sources.choices_limit or limit) if sources.choices else (),
    )


def load_prompt_sets(model: VariantModel, sources: PromptSources, side: str | None) -> PromptSets:
    """As `read_prompt_sets`, with the base's own answers to the normal prompts."""
    return with_own_answers(model, read_prompt_sets(sources, side), sources)


def with_own_answers(model: VariantModel, sets: PromptSets, sources: PromptSources) -> PromptSets:
    """The sets that were read from `sources`, with the base's own answers to the normal prompts."""
    return replace(sets, own=tuple(write_base_answers(model, sets.normal, sources.own_tokens)))


def drop_overlap(sets: PromptSets, trained: Sequence[Run], sources: PromptSources, say: Say) -> PromptSets:
    """Leave out the harmful prompts and pairs that overlap with the training prompts of the measured runs.

    Args:
        sets: the loaded sets.
        trained: the runs of all measured variants.
        sources: `drop_overlap` and `training_data` of it are used.
        say: called with one line for training data that cannot be loaded, and one for what was left out.

    Raises:
        ValueError: if there are no training prompts to compare with, or no harmful prompt is left.
    """
    share = sources.drop_overlap
    if share is None:
        return sets
    training = load_training_prompts(trained, Path(sources.training_data) if sources.training_data else None)
    if training.warning:
        say(training.warning)
    if not training.prompts:
        raise ValueError(
            "overlap cannot be measured: no training prompt of the measured variants is known; measure a trained "
            "variant too, and give --training-data the folder that holds its training data"
        )
    harmful = drop_overlapping(sets.harmful, training.prompts, share)
    pairs = drop_overlapping(sets.pairs, training.prompts, share)
    say(
        f"overlap: left out {len(sets.harmful) - len(harmful)} of {len(sets.harmful)} harmful prompts and "
        f"{len(sets.pairs) - len(pairs)} of {len(sets.pairs)} harmful pairs, which share at least {share:.0%} of their "
        f"content words with one of {len(training.prompts)} training prompts"
    )
    if sets.harmful and not harmful:
        raise ValueError(f"every harmful prompt overlaps with training by {share:.0%} or more; raise --drop-overlap")
    return replace(sets, harmful=harmful, pairs=pairs)


def _check_categories(sources: PromptSources, side: str | None) -> None:
    """Check that every category to measure has a prompt on this side, and every one to leave out on any side."""
    if not (sources.categories or sources.leave_out):
        return
    loaded = {spec: load_pairs(spec, "harmful").pairs for spec in (*sources.harmful, *sources.pairs)}
    on_side = [pair for spec, pairs in loaded.items() for pair in _on_side(pairs, spec, side)]
    require_categories(sources.categories, on_side, f"harmful prompt {f'on the {side} side' if side else 'to measure'}")
    require_categories(sources.leave_out, [pair for pairs in loaded.values() for pair in pairs], "harmful prompt")


def _load_set(
    specs: Iterable[str],
    kind: PairKind,
    side: str | None,
    limit: int | None,
    only: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> tuple[PromptPair, ...]:
    """At most `limit` pairs of each source, one for each prompt; of all categories, or as `select_categories` says."""
    found: dict[str, PromptPair] = {}
    for spec in specs:
        pairs = _on_side(load_pairs(spec, kind).pairs, spec, side)
        if not pairs:
            raise ValueError(f"{spec} has no prompt on the {side or 'test'} side; give more prompts, or another --side")
        by_id = sorted({pair.prompt_id: pair for pair in select_categories(pairs, only, leave_out)}.items())
        found |= dict(by_id[:limit])
    return tuple(found.values())


def _load_choices(path: str, side: str | None, limit: int | None) -> tuple[MultipleChoice, ...]:
    questions = load_multiple_choice(Path(path))
    on_side = [one for one in questions if splits.side_of(one.prompt_id) == (side or "test")]
    return tuple(sorted(on_side, key=lambda one: one.prompt_id)[:limit])


def default_side(specs: Sequence[str]) -> str:
    """The side of rows that nobody chose a side for: `OWN_SIDE` if all prompts are a user's own, else test."""
    return OWN_SIDE if specs and all(map(_is_own_file, specs)) else "test"


def _is_own_file(spec: str) -> bool:
    return Path(spec.partition("#")[0]).expanduser().is_file()


def _on_side(pairs: Sequence[PromptPair], spec: str, side: str | None) -> Sequence[PromptPair]:
    if side is None and _is_own_file(spec):
        return pairs
    return split(pairs, cast(Side, side or "test"))
