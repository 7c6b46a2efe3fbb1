"""What a column of Compare holds: the base, one adapter at the slider's coefficient, or a sum of adapters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sku.core.methods import METHODS, Marker
from sku.core.variants import BASE, MAX_COEFFICIENT, SUM, VariantPart, parse_variant
from sku.reporting.markers import method_marker
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.hosting.gate import Gate


@dataclass(frozen=True)
class AdapterTerm:
    """One adapter of a variant, with what a heading says of it."""

    part: VariantPart
    """With its coefficient."""
    label: str
    method: str
    preservation: str | None

    @property
    def name(self) -> str:
        """As a person writes it, without the coefficient."""
        return str(dataclasses.replace(self.part, coefficient=None))

    @property
    def coefficient(self) -> float:
        """As a person gives it: 0 or more."""
        return self.part.coefficient or 0.0

    @property
    def subtracted(self) -> bool:
        """Whether its task vector is subtracted; the stage-1 model has it added."""
        return METHODS[self.method].negated and not self.part.acquired


@dataclass(frozen=True)
class ColumnVariant:
    """A variant that this visitor may ask."""

    terms: tuple[AdapterTerm, ...] = ()
    """None: the base."""

    @property
    def text(self) -> str:
        """As a person writes it, every coefficient included."""
        return "+".join(str(term.part) for term in self.terms) or BASE

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its adapters, or `base`."""
        return tuple(term.part.name for term in self.terms) or (BASE,)

    @property
    def list_value(self) -> str:
        """What the column's list shows: without the coefficient where the slider has it."""
        return self.terms[0].name if self.coefficient is not None else self.text

    @property
    def coefficient(self) -> float | None:
        """What the slider shows; None for the base and for sums, which have no slider."""
        return self.terms[0].coefficient if len(self.terms) == 1 else None

    @property
    def label(self) -> str:
        """For a person."""
        return " + ".join(term.label for term in self.terms) or BASE

    @property
    def marker(self) -> Marker:
        """Its sign and colour."""
        if len(self.terms) > 1:
            return method_marker(SUM)
        return method_marker(self.terms[0].method, self.terms[0].preservation) if self.terms else method_marker(None)

    def at(self, coefficient: float) -> ColumnVariant:
        """The same at another coefficient of the slider; the base and sums stay as they are."""
        if self.coefficient is None:
            return self
        (term,) = self.terms
        moved = dataclasses.replace(term.part, coefficient=coefficient)
        return ColumnVariant((dataclasses.replace(term, part=moved),))


def catalog_variant(entry: CatalogEntry) -> ColumnVariant:
    """An entry of the list at its default coefficient."""
    return ColumnVariant() if entry.method is None else ColumnVariant((_term(VariantPart(entry.name), entry),))


def column_variant(text: str, entries: Sequence[CatalogEntry], gate: Gate) -> ColumnVariant:
    """The variant that `text` names; adapters without a coefficient get their default.

    Raises:
        ValueError: if it is no variant, or this visitor may not ask it.
    """
    known = {entry.name: entry for entry in entries}
    spec = parse_variant(gate.variant(text, known))
    return ColumnVariant() if spec.is_base else ColumnVariant(tuple(_term(p, known[p.name]) for p in spec.parts))


def typed_variant(text: Any, entries: Sequence[CatalogEntry], gate: Gate) -> str:
    """What somebody typed into a list of variants: a variant, or part of a label, as lists filter their entries by.

    Raises:
        ValueError: as `column_variant` does, if it is neither.
    """
    try:
        return gate.variant(text, {entry.name for entry in entries})
    except ValueError:
        part = text.strip().casefold() if isinstance(text, str) else ""
        found = next((entry.name for entry in entries if part and part in entry.label.casefold()), None)
        if found is None:
            raise
        return found


def _term(part: VariantPart, entry: CatalogEntry) -> AdapterTerm:
    coefficient = min(entry.default_coefficient, MAX_COEFFICIENT) if part.coefficient is None else part.coefficient
    label = f"{entry.label}, acquired" if part.acquired else entry.label
    whole = dataclasses.replace(part, coefficient=coefficient)
    return AdapterTerm(whole, label, entry.method or BASE, entry.preservation)
