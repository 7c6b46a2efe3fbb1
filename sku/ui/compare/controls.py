"""The values of Compare's controls as the browser sent them. Nothing is checked here: the gate does that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sku.core.variants import BASE, parse_variant
from sku.ui.hosting.gate import checked_coefficient

MAX_COLUMNS = 6
INITIAL_COLUMNS = 3
"""Columns that are shown at first."""


@dataclass(frozen=True)
class ColumnControls:
    """The list and the slider of one column."""

    variant: Any
    """An entry of the list, or what somebody typed: `sku`, `sku@1.5`, `ga@0.5+sku@1`."""
    coefficient: Any

    def text(self) -> str:
        """The variant as a person writes it: the slider gives one adapter its coefficient, a sum has its own.

        Raises:
            ValueError: for what is no variant, or no coefficient.
        """
        if not isinstance(self.variant, str):
            raise ValueError(f"variant {self.variant!r} is not a text; write NAME or NAME@COEFFICIENT, such as sku@1.0")
        part = parse_variant(self.variant).only_part
        if part is None or part.name == BASE or part.coefficient is not None:
            return self.variant
        return f"{part}@{checked_coefficient(self.coefficient):g}"


@dataclass(frozen=True)
class Controls:
    """All of them."""

    prompt: Any
    length: Any
    temperature: Any
    seed: Any
    samples: Any
    count: Any
    columns: tuple[ColumnControls, ...]

    def shown(self) -> range:
        """The columns that are shown."""
        known = isinstance(self.count, int) and 1 <= self.count <= MAX_COLUMNS
        return range(self.count if known else INITIAL_COLUMNS)

    def variants(self) -> list[str]:
        """What the shown columns hold.

        Raises:
            ValueError: as `ColumnControls.text` does.
        """
        return [self.columns[i].text() for i in self.shown()]
