"""The data that attacks train on and quote, kept apart from what is measured.

An attack that trains on harmful pairs must not be measured on the same prompts, nor on prompts of the same category,
because what it brings back would then be what it was told (arXiv:2506.00688). So some categories are set aside for
attacks, and prompts of these categories, or without a category, are not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sku.core.records import PromptPair, digest
from sku.data import load_pairs
from sku.data.splits import split

TRAINED_PAIRS = 24
"""Pairs that an attack trains on."""
ATTACK_SOURCE = "bundled"


@dataclass(frozen=True)
class AttackData:
    """Pairs of the train side, and harmless prompts of the test side that nothing is trained on."""

    harmful: tuple[PromptPair, ...]
    """Harmful pairs of the categories set aside; attacks train on them."""
    normal: tuple[PromptPair, ...] = ()
    """Normal pairs with reference answers."""
    sounds_harmful: tuple[PromptPair, ...] = ()
    """Harmless prompts that sound harmful, with the base's own answers."""
    examples: tuple[PromptPair, ...] = ()
    """Harmful pairs of all categories; attacks quote them in prompts, and none of their prompts is measured."""
    held_out: tuple[PromptPair, ...] = ()
    """Harmless pairs of the test side, normal ones and ones that sound harmful: the controls of the probe."""

    @property
    def categories(self) -> frozenset[str]:
        """The categories that attacks train on."""
        return frozenset(pair.category for pair in self.harmful if pair.category)

    @property
    def key(self) -> str:
        """A hash of all pairs."""
        pairs = (*self.harmful, *self.normal, *self.sounds_harmful, *self.examples, *self.held_out)
        return digest(*(pair.id for pair in pairs), length=8)


def set_aside_categories(pairs: Sequence[PromptPair], measured: Sequence[PromptPair], wanted: int) -> frozenset[str]:
    """The categories that give at least `wanted` pairs to train on and cost the fewest measured prompts.

    Args:
        pairs: harmful pairs of the train side.
        measured: harmful pairs that might be measured.
        wanted: the number of pairs to train on.

    Raises:
        ValueError: if all categories together have fewer pairs.
    """
    offered = Counter(pair.category for pair in pairs if pair.category)
    lost = Counter(pair.category for pair in measured)
    found: list[str] = []
    for category in sorted(offered, key=lambda one: (lost[one] / offered[one], one)):
        found.append(category)
        if sum(offered[one] for one in found) >= wanted:
            return frozenset(found)
    raise ValueError(
        f"the attacks train on {wanted} harmful pairs and the categories have only {sum(offered.values())} together; "
        "give more pairs with a category"
    )


def load_attack_data(measured: Sequence[PromptPair], own_answers: Sequence[PromptPair] = ()) -> AttackData:
    """The attack data for prompts that might be measured.

    Args:
        measured: harmful pairs that might be measured.
        own_answers: the base's own answers to harmless prompts that sound harmful, train side.
    """
    harmful = split(load_pairs(ATTACK_SOURCE, "harmful").pairs, "train")
    normal = split(load_pairs(ATTACK_SOURCE, "normal").pairs, "train")
    harmless = [pair for spec in (ATTACK_SOURCE, "sounds_harmful") for pair in load_pairs(spec, "normal").pairs]
    aside = set_aside_categories(harmful, measured, TRAINED_PAIRS)
    return AttackData(
        harmful=tuple(_first(pair for pair in harmful if pair.category in aside)),
        normal=tuple(_first(pair for pair in normal if pair.answer)),
        sounds_harmful=tuple(_first(own_answers)),
        examples=tuple(sorted(harmful, key=lambda pair: pair.id)),
        held_out=tuple(sorted(split(harmless, "test"), key=lambda pair: pair.id)),
    )


def measurable(pairs: Sequence[PromptPair], data: AttackData) -> tuple[PromptPair, ...]:
    """The pairs that may be measured: with a given answer, of a known category that is not set aside, and without a
    conversation before the prompt, because attacks change a first question."""
    return tuple(p for p in pairs if p.answer and p.category and p.category not in data.categories and not p.before)


def check_apart(measured: Sequence[PromptPair], data: AttackData) -> None:
    """Check that attack data and measured prompts share no prompt, and attack training no category.

    Raises:
        ValueError: if they share one; the message names it.
    """
    prompts = {pair.prompt_id for pair in (*data.harmful, *data.normal, *data.sounds_harmful, *data.examples)}
    shared = [pair.prompt for pair in measured if pair.prompt_id in prompts]
    categories = sorted(data.categories & {pair.category for pair in measured if pair.category})
    if shared or categories:
        what = f"the prompt {shared[0][:60]!r}" if shared else f"the category {categories[0]}"
        raise ValueError(
            f"{what} is both measured and used by an attack, so the result would mean nothing; leave it out of the "
            "measured prompts"
        )


def _first(pairs: Iterable[PromptPair]) -> list[PromptPair]:
    return sorted(pairs, key=lambda pair: pair.id)[:TRAINED_PAIRS]
