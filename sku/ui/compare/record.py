"""A comparison as a record: what was asked of which variants, and what came back. To JSON and from it; needs no model.

A file that comes from outside is checked as a whole before any of it is used.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, FailFast, Field

from sku.core.records import Answer, Verdict
from sku.core.validation import validate
from sku.core.variants import parse_variant

FORMAT_VERSION = 1
"""Of the file; raised when an older reader could no longer make sense of it."""
MAX_PARTS, MAX_SAMPLES, MAX_TEXT_CHARACTERS = 6, 64, 20_000
STRICT = ConfigDict(strict=True, allow_inf_nan=False, str_max_length=MAX_TEXT_CHARACTERS)
"""What comes from outside: no numbers as text, no truth values as numbers, nothing endless."""


def _checked_variant(text: str) -> str:
    parse_variant(text)
    return text


VariantText = Annotated[str, AfterValidator(_checked_variant)]
"""A variant as a person writes it."""


@dataclass(frozen=True)
class ComparisonSettings:
    """What decides the answers beside the weights."""

    length: int
    temperature: float
    seed: int
    samples: int


@dataclass(frozen=True)
class ComparedColumn:
    """One column."""

    variant: VariantText
    """As a person writes it, the coefficient included."""
    label: str
    answers: Annotated[tuple[Answer, ...], Field(max_length=MAX_SAMPLES), FailFast()]
    verdicts: Annotated[tuple[Verdict, ...], Field(max_length=MAX_SAMPLES), FailFast()]
    """One an answer, or none where nothing was judged."""
    kl: float | None
    """KL(base || variant) on the base's answer to this prompt, nats a token; None: not measured."""

    def __post_init__(self) -> None:
        if self.verdicts and len(self.verdicts) != len(self.answers):
            raise ValueError(f"{len(self.verdicts)} verdicts for {len(self.answers)} answers")


@dataclass(frozen=True)
class Comparison:
    """One prompt, several variants."""

    __pydantic_config__ = STRICT

    prompt: str
    model: str
    settings: ComparisonSettings
    parts: Annotated[tuple[ComparedColumn, ...], Field(min_length=1, max_length=MAX_PARTS), FailFast()]

    def to_json(self) -> str:
        """A text that `comparison_from_json` reads."""
        values = {"sku_comparison": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def comparison_from_json(text: str) -> Comparison:
    """The comparison that `Comparison.to_json` wrote.

    Raises:
        ValueError: for anything else, with what is wrong.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this file is not JSON ({error}); choose one that Export wrote") from error
    if not isinstance(found, dict) or "sku_comparison" not in found:
        raise ValueError("this is no comparison: sku_comparison is missing; choose a file that Export wrote")
    version = found.pop("sku_comparison")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"this comparison has format {version!r}, but this version of sku reads "
            f"{FORMAT_VERSION}; update sku to open it"
        )
    try:
        return validate(Comparison, found, "comparison")
    except ValueError as error:
        raise ValueError(f"{error}; export it again") from error
