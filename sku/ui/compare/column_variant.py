"""The variant in a column of Compare: the base, one adapter at the slider's coefficient, or a sum of adapters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sku.core.methods import Marker, method_of_adapter
from sku.core.variants import BASE, MAX_COEFFICIENT, REMOTE, SUM, VariantPart, parse_variant
from sku.reporting.markers import method_marker
from sku.serving.variant_catalog import CatalogEntry, with_named_adapters
from sku.ui.hosting.gate import Gate


@dataclass(frozen=True)
class AdapterTerm:
    """One adapter of a variant, with what the column's heading needs to know about it."""

    part: VariantPart
    """The adapter's name and coefficient."""
    label: str
    method: str
    preservation: str | None

    @property
    def name(self) -> str:
        """The adapter as a person writes it, without its coefficient."""
        return str(dataclasses.replace(self.part, coefficient=None))

    @property
    def coefficient(self) -> float:
        """The coefficient as a person gives it: 0 or more."""
        return self.part.coefficient or 0.0

    @property
    def subtracted(self) -> bool:
        """Whether the task vector is subtracted. The acquired (stage-1) model adds it instead."""
        return self.part.negated or (method_of_adapter(self.method).negated and not self.part.acquired)


@dataclass(frozen=True)
class ColumnVariant:
    """A variant that this visitor may ask."""

    terms: tuple[AdapterTerm, ...] = ()
    """The adapters; empty for the base."""
    server: CatalogEntry | None = None
    """The model behind a server; None if the variant has weights here."""

    @property
    def text(self) -> str:
        """The variant as a person writes it, with all coefficients."""
        if self.server:
            return self.server.name
        return "+".join(str(term.part) for term in self.terms) or BASE

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the adapters, or `base`."""
        if self.server:
            return (self.server.name,)
        return tuple(term.part.name for term in self.terms) or (BASE,)

    @property
    def list_value(self) -> str:
        """The value of the column's list. It has no coefficient if the slider shows it."""
        return self.terms[0].name if self.coefficient is not None else self.text

    @property
    def coefficient(self) -> float | None:
        """The value of the slider; None for the base, sums and models behind servers, which have no slider."""
        return self.terms[0].coefficient if len(self.terms) == 1 else None

    @property
    def label(self) -> str:
        """The variant's label for readers."""
        return self.server.label if self.server else " + ".join(term.label for term in self.terms) or BASE

    @property
    def marker(self) -> Marker:
        """The variant's marker and colour."""
        if self.server:
            return method_marker(REMOTE)
        if len(self.terms) > 1:
            return method_marker(SUM)
        return method_marker(self.terms[0].method, self.terms[0].preservation) if self.terms else method_marker(None)

    def at(self, coefficient: float) -> ColumnVariant:
        """The same variant with another coefficient. The base and sums stay unchanged."""
        if self.coefficient is None:
            return self
        (term,) = self.terms
        moved = dataclasses.replace(term.part, coefficient=coefficient)
        return ColumnVariant((dataclasses.replace(term, part=moved),))


def catalog_variant(entry: CatalogEntry) -> ColumnVariant:
    """The variant of a list entry, at its default coefficient."""
    if entry.method == REMOTE:
        return ColumnVariant(server=entry)
    return ColumnVariant() if entry.method is None else ColumnVariant((_term(VariantPart(entry.name), entry),))


def column_variant(text: str, entries: Sequence[CatalogEntry], gate: Gate) -> ColumnVariant:
    """The variant that `text` names. Adapters without a coefficient get their default.

    Raises:
        ValueError: if the text is not a variant, or this visitor may not ask it.
    """
    known = {entry.name: entry for entry in offered_entries(text, entries, gate)}
    spec = parse_variant(gate.variant(text, known))
    if spec.server is not None:
        return ColumnVariant(server=known[str(spec)])
    return ColumnVariant() if spec.is_base else ColumnVariant(tuple(_term(p, known[p.name]) for p in spec.parts))


def offered_entries(text: Any, entries: Sequence[CatalogEntry], gate: Gate) -> Sequence[CatalogEntry]:
    """The entries, and on a page that is not public also the adapters that `text` names by a path or a hub id.

    Raises:
        ValueError: if such an adapter cannot be had.
    """
    return entries if gate.hosting.public or not isinstance(text, str) else with_named_adapters(text, entries)


def typed_variant(text: Any, entries: Sequence[CatalogEntry], gate: Gate) -> str:
    """The variant that somebody typed into a list. Part of a label also works, because the list is filtered by it.

    Raises:
        ValueError: if the text is neither a variant that this visitor may ask nor part of a label.
    """
    try:
        return gate.variant(text, {entry.name for entry in offered_entries(text, entries, gate)})
    except ValueError:
        typed = text.strip().casefold() if isinstance(text, str) else ""
        match = next((entry.name for entry in entries if typed and typed in entry.label.casefold()), None)
        if match is None:
            raise
        return match


def _term(part: VariantPart, entry: CatalogEntry) -> AdapterTerm:
    coefficient = min(entry.default_coefficient, MAX_COEFFICIENT) if part.coefficient is None else part.coefficient
    label = f"{entry.label}, acquired" if part.acquired else entry.label
    complete_part = dataclasses.replace(part, coefficient=coefficient)
    return AdapterTerm(complete_part, label, entry.method or BASE, entry.preservation)
