"""A variant is the base plus a sum of adapters times coefficients. This module parses variants and decides the sign.

A model behind a server (`server:NAME`) is a variant too, but has no weights here and so no coefficients.

A person gives a coefficient >= 0. The vector of a negated method (SKU, task vector) is subtracted; the vector of an
applied method (gradient ascent, fine-tuning) is added. An adapter that was not trained here has no method: it is added,
and with a minus it is subtracted (`owner/name@-1`). Several adapters may be summed: `ga@0.5+sku@1`. This module imports
no torch and reads no file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sku.core.methods import FOREIGN, method_of_adapter

BASE = "base"
ACQUIRED = "acquired:"
NEGATED = "negated:"
SUM = "sum"
"""The method in a result row of a sum of several adapters."""
SERVER = "server:"
"""A variant that begins with this is a model behind a server of `core/servers.py`: `server:NAME`."""
REMOTE = "remote"
"""The method in a result row of a model behind a server."""
SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The names that a server may have. An address is none of them."""
MAX_COEFFICIENT = 10.0
MAX_PARTS = 8
"""The most adapters in a sum. Every adapter takes time in every forward pass."""
MAX_TEXT_CHARACTERS = 4096
"""The longest text of a variant. Eight long paths fit."""
_INCOMPLETE_EXPONENT = re.compile(r"@[\d.]+e$", re.IGNORECASE)


@dataclass(frozen=True)
class VariantPart:
    """One adapter of a variant, as a person wrote it."""

    name: str
    coefficient: float | None = None
    """None means the run's default coefficient."""
    acquired: bool = False
    """True means the stage-1 model: the vector is added to the base, whatever the method's sign."""
    negated: bool = False
    """True means that the person subtracts an adapter that has no method of its own."""

    def __str__(self) -> str:
        name = (ACQUIRED if self.acquired else NEGATED if self.negated else "") + self.name
        return name if self.coefficient is None or self.name == BASE else f"{name}@{self.coefficient:g}"


@dataclass(frozen=True)
class VariantSpec:
    """A parsed variant. Its adapters need not exist."""

    parts: tuple[VariantPart, ...]
    """One or more adapters, or the base alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the adapters, or `base`, in the order in which they were written."""
        return tuple(part.name for part in self.parts)

    @property
    def only_part(self) -> VariantPart | None:
        """The part of a variant that has only one; None for a sum of several adapters."""
        return self.parts[0] if len(self.parts) == 1 else None

    @property
    def is_base(self) -> bool:
        """Whether the variant is the base."""
        return self.names == (BASE,)

    @property
    def server(self) -> str | None:
        """The name of the server whose model the variant is; None for a variant of the base."""
        return self.names[0].removeprefix(SERVER) if self.names[0].startswith(SERVER) else None

    @property
    def acquired(self) -> bool:
        """Whether the variant contains a stage-1 model, which has learned the harmful knowledge."""
        return any(part.acquired for part in self.parts)

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))


@dataclass(frozen=True)
class KnownAdapter:
    """The facts about an adapter that a lookup by name returns."""

    adapter: str
    """The key of the adapter in `VariantModel`."""
    method: str
    """The method that trained the adapter; it decides the sign."""
    default_coefficient: float = 1.0


@dataclass(frozen=True)
class Variant:
    """A named set of signed coefficients. It makes one row of a batch run as this variant."""

    name: str
    """The name of the one adapter, such as `sku`; for a sum the whole text, such as `ga@0.5+sku@1`."""
    coefficient: float | None
    """The coefficient as a person gives it: >= 0, and 0 is the base. None for a sum: its name holds the coefficient of
    each adapter."""
    coefficients: dict[str, float] = field(default_factory=dict)
    """Maps adapter keys to signed coefficients. Zeros are left out, so that variants with equal weights compare
    equal."""

    def __str__(self) -> str:
        return self.name if self.name == BASE or self.coefficient is None else f"{self.name}@{self.coefficient:g}"


def parse_variant(text: str) -> VariantSpec:
    """Parse `NAME` or `NAME@COEFFICIENT`, optionally with `acquired:` in front, a sum of such parts joined by `+`, or
    `server:NAME`.

    Raises:
        ValueError: if a name is empty or appears twice, if a coefficient is not a number from 0 to `MAX_COEFFICIENT`,
            if the base is part of a sum or has a coefficient, if what follows `server:` is no name of a server, or if
            the text or the sum is too long.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"variant {text[:40]!r}... has {len(text)} characters; use at most {MAX_TEXT_CHARACTERS}")
    if text.strip().startswith(SERVER):
        return VariantSpec((_parse_server(text.strip()),))
    parts = tuple(_parse_part(part, text) for part in _split_sum(text.strip()))
    for part in parts:
        if part.name == BASE and (part.acquired or part.negated or part.coefficient):
            raise ValueError(f"variant {text!r}: the base has no adapter, so it takes no coefficient; write base")
        if part.name.startswith(SERVER):
            raise ValueError(f"variant {text!r} sums a model behind a server, which has no weights here; leave it out")
        if part.name == BASE and len(parts) > 1:
            raise ValueError(f"variant {text!r}: a sum is always added to the base; leave base out of the sum")
    if len(parts) > MAX_PARTS:
        raise ValueError(f"variant {text[:60]!r} sums {len(parts)} adapters; use at most {MAX_PARTS}")
    adapters = [(part.name, part.acquired, part.negated) for part in parts]
    if len(set(adapters)) < len(adapters):
        raise ValueError(f"variant {text!r} names an adapter twice; give it one coefficient")
    return VariantSpec(parts)


def resolve_variant(text: str, lookup: Callable[[str], KnownAdapter]) -> Variant:
    """The variant that `text` names, with signed coefficients.

    Args:
        text: a variant as a person writes it.
        lookup: returns the facts about an adapter by its name, or raises ValueError if the name is unknown.

    Raises:
        ValueError: if `parse_variant` or `lookup` raises it.
    """
    spec = parse_variant(text)
    if spec.server is not None:
        raise ValueError(
            f"{text} is a model behind a server, and this needs weights on this machine; name a run or base"
        )
    if spec.is_base:
        return Variant(BASE, 0.0)
    resolved, coefficients = [], dict[str, float]()
    for part in spec.parts:
        known = lookup(part.name)
        coefficient = known.default_coefficient if part.coefficient is None else part.coefficient
        signed = _sign(part, known, text) * coefficient
        coefficients[known.adapter] = coefficients.get(known.adapter, 0.0) + signed
        resolved.append(replace(part, coefficient=coefficient))
    nonzero = {adapter: signed for adapter, signed in coefficients.items() if signed}
    if len(resolved) > 1:
        return Variant("+".join(map(str, resolved)), None, nonzero)
    (part,) = resolved
    return Variant(str(replace(part, coefficient=None)), part.coefficient, nonzero)


def subtract_foreign(text: str, is_foreign: Callable[[str], bool]) -> str:
    """The variant `text` with a minus at every adapter that has no method of its own.

    Args:
        text: a variant as a person writes it.
        is_foreign: says of an adapter's name whether it has no method of its own.

    Raises:
        ValueError: if `parse_variant` raises it, or no adapter of the variant is foreign.
    """
    spec = parse_variant(text)
    if not any(is_foreign(name) for name in spec.names):
        raise ValueError(
            f"variant {text!r} has no adapter that could be negated: the method decides the sign of a run; negate only "
            "a PEFT folder or a hub id"
        )
    parts = tuple(replace(part, negated=True) if is_foreign(part.name) else part for part in spec.parts)
    return str(VariantSpec(parts))


def _sign(part: VariantPart, known: KnownAdapter, text: str) -> float:
    """The one place where a coefficient gets its sign."""
    if part.negated:
        if known.method != FOREIGN:
            raise ValueError(
                f"variant {text!r}: the method {known.method} decides the sign of {part.name}; leave the minus out"
            )
        return -1.0
    return -1.0 if method_of_adapter(known.method).negated and not part.acquired else 1.0


def _split_sum(text: str) -> list[str]:
    """The parts of a sum. A + inside a number (1e+1) or inside a path does not separate parts."""
    parts: list[str] = []
    for piece in text.split("+"):
        in_path = parts and "/" in parts[-1] and "@" not in parts[-1].rpartition("/")[2]
        in_number = parts and piece[:1].isdigit() and _INCOMPLETE_EXPONENT.search(parts[-1])
        if in_path or in_number:
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _parse_server(text: str) -> VariantPart:
    if not SERVER_NAME.fullmatch(text.removeprefix(SERVER)):
        raise ValueError(
            f"variant {text[:60]!r} names no server; write {SERVER}NAME with a name from SKU_SERVERS, without an "
            "address, a coefficient or a sum"
        )
    return VariantPart(text)


def _parse_part(text: str, whole: str) -> VariantPart:
    stripped = text.strip()
    acquired, negated = stripped.startswith(ACQUIRED), stripped.startswith(NEGATED)
    rest = stripped.removeprefix(ACQUIRED) if acquired else stripped.removeprefix(NEGATED)
    if rest.startswith("-") and "/" in rest and not negated:
        negated, rest = True, rest[1:]
    name, at, number = rest.rpartition("@")
    if not at or ("/" in name and _is_word(number)):  # a path may contain an @
        name, at, number = rest, "", ""
    if not name:
        raise ValueError(f"variant {whole!r} has no name; write NAME or NAME@COEFFICIENT, such as sku@1.0")
    if number.startswith("-") and "/" in name and not (acquired or negated):
        negated, number = True, number[1:]
    if (acquired and negated) or name.startswith((ACQUIRED, NEGATED)):
        raise ValueError(f"variant {whole!r} is both acquired and negated; choose one")
    return VariantPart(name, _coefficient(number, whole) if at else None, acquired, negated)


def _coefficient(number: str, whole: str) -> float:
    try:
        coefficient = float(number)
    except ValueError:
        coefficient = math.nan
    if not 0 <= coefficient <= MAX_COEFFICIENT:
        raise ValueError(
            f"coefficient {number!r} of variant {whole!r} is not a number from 0 to {MAX_COEFFICIENT:g}; "
            "the method decides the sign, so leave the sign out"
        )
    return coefficient


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and text not in ("inf", "nan")
