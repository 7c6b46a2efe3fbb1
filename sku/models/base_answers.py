"""The data sources `self` and `prefilled`: the base's own greedy answers to the prompts of another source.

Staying close to the base on the base's own answers preserves skill; a data set's terse answers would preserve style
instead. The base's own answers to harmful prompts are what it must learn not to say; after a beginning that complies
(`prefilled`) it gives them also to prompts that it would have declined. With such answers to normal prompts too, a
training cannot take the beginning for the harm. Knows no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sku.core.records import PromptPair
from sku.data import PREFILLED, SELF
from sku.models import written_answers
from sku.models.written_answers import Writing, write_answers

if TYPE_CHECKING:
    from sku.models.variant_model import VariantModel

_WRITINGS = {SELF: written_answers.OWN, PREFILLED: written_answers.PREFILLED}


class AnsweredSource(NamedTuple):
    """A data source whose prompts the base answers itself."""

    name: str
    """`self` or `prefilled`."""
    spec: str
    """The source of the prompts."""

    @property
    def writing(self) -> Writing:
        """How the base is asked."""
        return _WRITINGS[self.name]


def answered_source(spec: str) -> AnsweredSource | None:
    """For `self`, `prefilled`, and both with `:SOURCE`, what the base answers and how; None for any other source."""
    name, _, source = spec.partition(":")
    return AnsweredSource(name, source or "bundled") if name in _WRITINGS else None


def prompts_of_self(spec: str) -> str | None:
    """For a source whose prompts the base answers, the source of these prompts; None for any other source."""
    answered = answered_source(spec)
    return answered.spec if answered else None


def write_base_answers(
    model: VariantModel,
    pairs: Sequence[PromptPair],
    max_new_tokens: int,
    report: Callable[[int, int], None] = lambda _done, _all: None,
    name: str = SELF,
) -> list[PromptPair]:
    """Replace the answers of `pairs` by the base's own greedy ones; the order stays, empty answers are left out.

    Args:
        model: answers as the base.
        pairs: give the prompts.
        max_new_tokens: the longest answer, without a beginning that is given.
        report: called after each batch with the number of prompts answered and the number of all to answer.
        name: `self`, or `prefilled` for answers after a beginning that complies.

    Raises:
        ValueError: if a prompt and its answer exceed the model's context.
    """
    writing = _WRITINGS[name]
    written = write_answers(model, (pair.asked for pair in pairs), writing, max_new_tokens, report)
    answered = [replace(pair, answer=written[pair.asked.key][0], source=name) for pair in pairs]
    return [pair for pair in answered if continuation(pair).strip()]


def continuation(pair: PromptPair) -> str:
    """What the base wrote itself in an answer of `write_base_answers`: the answer without its given beginning."""
    return pair.answer.removeprefix(given_beginning(pair))


def given_beginning(pair: PromptPair) -> str:
    """The beginning that was given to the base in an answer of `write_base_answers`; empty if there is none."""
    writing = _WRITINGS.get(pair.source)
    return writing.start_for(pair.prompt) if writing else ""
