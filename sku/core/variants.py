"""A variant is the base plus adapters times coefficients; this module parses one and owns the one minus sign.

A person gives a coefficient >= 0. A negated method (SKU, task vector) has its vector subtracted, an applied one
(gradient ascent, fine-tuning) has it added. Several adapters may be summed: `ga@0.5+sku@1`. Knows methods and names; no
torch, no file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sku.core.methods import find_method

BASE = "base"
ACQUIRED = "acquired:"
SUM = "sum"
"""The method of a row that several adapters were added up for."""
MAX_COEFFICIENT = 10.0
MAX_PARTS = 8
"""Adapters of a sum: each costs time in every forward."""
MAX_TEXT_CHARACTERS = 4096
"""Of a variant as written: eight paths fit, a flood does not."""
_HALF_A_NUMBER = re.compile(r"@[\d.]+e$", re.IGNORECASE)


@dataclass(frozen=True)
class VariantPart:
    """One adapter of a variant, as written."""

    name: str
    coefficient: float | None = None
    """None: the run's default."""
    acquired: bool = False
    """The stage-1 model: base plus what it learned, whatever the method's sign."""

    def __str__(self) -> str:
        name = ACQUIRED + self.name if self.acquired else self.name
        return name if self.coefficient is None or self.name == BASE else f"{name}@{self.coefficient:g}"


@dataclass(frozen=True)
class VariantSpec:
    """A variant as written, before anyone looked whether its adapters exist."""

    parts: tuple[VariantPart, ...]
    """At least one; the base stands alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its adapters, or `base`, in the order in which they were written."""
        return tuple(part.name for part in self.parts)

    @property
    def only_part(self) -> VariantPart | None:
        """Its one part; None for a sum of several adapters."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def is_base(self) -> bool:
        """Whether it is the base."""
        return self.names == (BASE,)

    @property
    def acquired(self) -> bool:
        """Whether it holds a stage-1 model, which knows what was to be forgotten."""
        return any(part.acquired for part in self.parts)

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))


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
    """Of the one adapter, such as `sku`; of a sum the whole text, such as `ga@0.5+sku@1`."""
    coefficient: float | None
    """As a person gives it: >= 0; 0 is the base. None for a sum, whose name holds a coefficient each."""
    coefficients: dict[str, float] = field(default_factory=dict)
    """Adapter key to signed coefficient; zeros are left out, so that equal rows are equal values."""

    def __str__(self) -> str:
        return self.name if self.name == BASE or self.coefficient is None else f"{self.name}@{self.coefficient:g}"


def parse_variant(text: str) -> VariantSpec:
    """Read `NAME`, `NAME@COEFFICIENT`, either after `acquired:`, or a sum of such parts joined by `+`.

    Raises:
        ValueError: if a name is empty or stands twice, a coefficient is not a number from 0 to `MAX_COEFFICIENT`, the
            base is part of a sum or has a coefficient, or the text or the sum is too long.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"variant {text[:40]!r}... has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are read")
    parts = tuple(_parse_part(part, text) for part in _split_sum(text.strip()))
    for part in parts:
        if part.name == BASE and (part.acquired or part.coefficient):
            raise ValueError(f"variant {text!r}: the base has no adapter, so it takes no coefficient; write base")
        if part.name == BASE and len(parts) > 1:
            raise ValueError(f"variant {text!r} adds adapters to the base anyway; leave base out of the sum")
    if len(parts) > MAX_PARTS:
        raise ValueError(f"variant {text[:60]!r} sums {len(parts)} adapters; at most {MAX_PARTS} are taken")
    written = [(part.name, part.acquired) for part in parts]
    if len(set(written)) < len(written):
        raise ValueError(f"variant {text!r} names an adapter twice; give it one coefficient")
    return VariantSpec(parts)


def resolve_variant(text: str, lookup: Callable[[str], KnownAdapter]) -> Variant:
    """The variant that `text` names.

    Args:
        text: as a person writes it.
        lookup: adapter name to what is known about it; raises ValueError for an unknown name.

    Raises:
        ValueError: as `parse_variant` and `lookup` do.
    """
    spec = parse_variant(text)
    if spec.is_base:
        return Variant(BASE, 0.0)
    resolved, coefficients = [], dict[str, float]()
    for part in spec.parts:
        known = lookup(part.name)
        coefficient = known.default_coefficient if part.coefficient is None else part.coefficient
        sign = -1.0 if find_method(known.method).negated and not part.acquired else 1.0
        coefficients[known.adapter] = coefficients.get(known.adapter, 0.0) + sign * coefficient
        resolved.append(VariantPart(part.name, coefficient, part.acquired))
    nonzero = {adapter: signed for adapter, signed in coefficients.items() if signed}
    if len(resolved) > 1:
        return Variant("+".join(map(str, resolved)), None, nonzero)
    (part,) = resolved
    return Variant(ACQUIRED + part.name if part.acquired else part.name, part.coefficient, nonzero)


def _split_sum(text: str) -> list[str]:
    """The parts of a sum. A + separates nothing inside a number (1e+1), nor in a path before its coefficient."""
    parts: list[str] = []
    for piece in text.split("+"):
        in_path = parts and "/" in parts[-1] and "@" not in parts[-1].rpartition("/")[2]
        in_number = parts and piece[:1].isdigit() and _HALF_A_NUMBER.search(parts[-1])
        if in_path or in_number:
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _parse_part(text: str, whole: str) -> VariantPart:
    stripped = text.strip()
    acquired = stripped.startswith(ACQUIRED)
    rest = stripped.removeprefix(ACQUIRED)
    name, at, number = rest.rpartition("@")
    if not at or ("/" in name and _is_word(number)):  # a path may have an @ of its own
        name, at, number = rest, "", ""
    if not name:
        raise ValueError(f"variant {whole!r} has no name; write NAME or NAME@COEFFICIENT, such as sku@1.0")
    if not at:
        return VariantPart(name, None, acquired)
    try:
        coefficient = float(number)
    except ValueError:
        coefficient = math.nan
    if not 0 <= coefficient <= MAX_COEFFICIENT:
        raise ValueError(
            f"coefficient {number!r} of variant {whole!r} is not a number from 0 to {MAX_COEFFICIENT:g}; "
            "the method decides the sign, so give it without one"
        )
    return VariantPart(name, coefficient, acquired)


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and text not in ("inf", "nan")
