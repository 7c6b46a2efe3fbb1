"""A comparison as a record: the prompt, the variants and their answers. It can be written to JSON and read back.

This needs no model. A file is checked completely before any part of it is used.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, FailFast, Field

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.conversation import MAX_TURNS, Turn
from sku.core.jsonl import parse_json
from sku.core.records import Answer, Verdict
from sku.core.validation import validate
from sku.core.variants import parse_variant

FORMAT_VERSION = 3
"""The version of the file format. Raise it when older versions of sku can no longer read a new file."""
READ_VERSIONS = (1, 2, 3)
"""The versions that can be read. Files of version 1 know no attack, those of version 2 no answers out of links and no
conversations."""
MAX_PARTS, MAX_SAMPLES, MAX_TEXT_CHARACTERS = 6, 64, 20_000
STRICT = ConfigDict(strict=True, allow_inf_nan=False, str_max_length=MAX_TEXT_CHARACTERS)
"""Strict checks for data from outside: no numbers as strings, no booleans as numbers, no infinities, no huge texts."""


def _checked_variant(text: str) -> str:
    parse_variant(text)
    return text


VariantText = Annotated[str, AfterValidator(_checked_variant)]
"""A variant as a person writes it."""


@dataclass(frozen=True)
class ComparisonSettings:
    """How the variants of a comparison were asked."""

    length: int
    temperature: float
    seed: int
    samples: int
    attack: ChosenAttack = WITHOUT_ATTACK
    system: str = ""
    """The system prompt; empty leaves the one that the base's chat template has."""


@dataclass(frozen=True)
class ComparedColumn:
    """One column of a comparison."""

    variant: VariantText
    """The variant as a person writes it, with its coefficient."""
    label: str
    answers: Annotated[tuple[Answer, ...], Field(max_length=MAX_SAMPLES), FailFast()]
    verdicts: Annotated[tuple[Verdict, ...], Field(max_length=MAX_SAMPLES), FailFast()]
    """One verdict per answer; empty if nothing was judged."""
    kl: float | None
    """KL(base || variant) on the base's answer to this prompt, in nats per token; None if it was not measured."""
    from_link: bool = False
    """Whether the answer came out of a link. Then nobody here saw a model write it."""
    earlier: Annotated[tuple[Turn, ...], Field(max_length=MAX_TURNS), FailFast()] = ()
    """The conversation before the prompt: the column's own answers to the earlier questions."""

    def __post_init__(self) -> None:
        if self.verdicts and len(self.verdicts) != len(self.answers):
            raise ValueError(
                f"a column has {len(self.verdicts)} verdicts for {len(self.answers)} answers; it must have one for each"
            )

    @property
    def questions(self) -> tuple[str, ...]:
        """The earlier questions."""
        return tuple(turn.prompt for turn in self.earlier)


@dataclass(frozen=True)
class Comparison:
    """One prompt and the answers of several variants."""

    __pydantic_config__ = STRICT

    prompt: str
    model: str
    settings: ComparisonSettings
    parts: Annotated[tuple[ComparedColumn, ...], Field(min_length=1, max_length=MAX_PARTS), FailFast()]

    def __post_init__(self) -> None:
        wanted = self.settings.attack.name
        other = next((a.attack for part in self.parts for a in part.answers if a.attack != wanted), None)
        if other is not None:
            raise ValueError(
                f"an answer was written under attack {other[:40]!r}, but the comparison is under {wanted!r}; they must "
                "be the same"
            )
        if len({part.questions for part in self.parts}) > 1:
            raise ValueError("the columns have different earlier questions; they must be the same")

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions before the prompt, which are the same in all columns."""
        return self.parts[0].questions

    def to_json(self) -> str:
        """The comparison as JSON, which `comparison_from_json` reads."""
        values = {"sku_comparison": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def comparison_from_json(text: str) -> Comparison:
    """Read a comparison that `Comparison.to_json` wrote.

    Raises:
        ValueError: if the text is anything else. The message says what is wrong.
    """
    values = parse_json(text, "this file", "; choose a file that Export JSON wrote")
    if not isinstance(values, dict) or "sku_comparison" not in values:
        raise ValueError(
            "this file is not a comparison: sku_comparison is missing; choose a file that Export JSON wrote"
        )
    version = values.pop("sku_comparison")
    if version not in READ_VERSIONS:
        raise ValueError(
            f"this comparison has format {version!r}, but this version of sku reads only formats up to "
            f"{FORMAT_VERSION}; update sku to open it"
        )
    try:
        return validate(Comparison, values, "comparison")
    except ValueError as error:
        raise ValueError(f"{error}; export it again") from error
