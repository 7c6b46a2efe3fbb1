"""A variant is the base plus adapters times coefficients; this module parses one and owns the one minus sign.

A person gives a coefficient >= 0. A negated method (SKU, task vector) has its vector subtracted, an applied one
(gradient ascent, fine-tuning) has it added. Knows methods and names; no torch, no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from sku.core.methods import find_method

BASE = "base"
ACQUIRED = "acquired:"
MAX_COEFFICIENT = 10.0


@dataclass(frozen=True)
class VariantSpec:
    """A variant as written, before anyone looked whether it exists."""

    name: str
    coefficient: float | None
    """None: the method's default."""
    acquired: bool = False
    """The stage-1 model: base plus what it learned."""


@dataclass(frozen=True)
class KnownAdapter:
    """What a lookup tells about an adapter."""

    adapter: str
    """The key that `VariantModel` holds it under."""
    method: str
    default_coefficient: float = 1.0


@dataclass(frozen=True)
class Variant:
    """A row of coefficients with a name."""

    name: str
    coefficient: float
    """As a person gives it: >= 0; 0 is the base."""
    coefficients: dict[str, float] = field(default_factory=dict)
    """Adapter key to signed coefficient; zeros are left out, so that equal rows are equal values."""

    def __str__(self) -> str:
        return self.name if self.name == BASE else f"{self.name}@{self.coefficient:g}"


def parse_variant(text: str) -> VariantSpec:
    """Read `NAME`, `NAME@COEFFICIENT` or either after `acquired:`.

    Raises:
        ValueError: if the name is empty or the coefficient is not a number from 0 to `MAX_COEFFICIENT`.
    """
    stripped = text.strip()
    acquired = stripped.startswith(ACQUIRED)
    whole = stripped.removeprefix(ACQUIRED)
    name, at, number = whole.rpartition("@")
    if not at or ("/" in name and _is_word(number)):  # a path may have an @ of its own
        name, at, number = whole, "", ""
    if not name:
        raise ValueError(f"variant {text!r} has no name; write NAME or NAME@COEFFICIENT, such as sku@1.0")
    if not at:
        return VariantSpec(name, None, acquired)
    try:
        coefficient = float(number)
    except ValueError:
        coefficient = math.nan
    if not 0 <= coefficient <= MAX_COEFFICIENT:
        raise ValueError(
            f"coefficient {number!r} of variant {text!r} is not a number from 0 to {MAX_COEFFICIENT:g}; "
            "the method decides the sign, so give it without one"
        )
    return VariantSpec(name, coefficient, acquired)


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and text not in ("inf", "nan")


def resolve_variant(text: str, lookup: Callable[[str], KnownAdapter]) -> Variant:
    """The variant that `text` names.

    Args:
        text: as a person writes it.
        lookup: adapter name to what is known about it; raises ValueError for an unknown name.
    """
    spec = parse_variant(text)
    if spec.name == BASE:
        if spec.acquired or spec.coefficient:
            raise ValueError(f"variant {text!r}: the base has no adapter, so it takes no coefficient; write base")
        return Variant(BASE, 0.0)
    known = lookup(spec.name)
    coefficient = known.default_coefficient if spec.coefficient is None else spec.coefficient
    sign = -1.0 if find_method(known.method).negated and not spec.acquired else 1.0
    name = ACQUIRED + spec.name if spec.acquired else spec.name
    return Variant(name, coefficient, {known.adapter: sign * coefficient} if coefficient else {})
