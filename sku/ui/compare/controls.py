"""The values of Compare's controls, as the browser sent them. The gate checks them; this module does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sku.core.attacks import NO_ATTACK, OWN_PREFILL, ChosenAttack
from sku.core.variants import BASE, parse_variant
from sku.ui.hosting.gate import checked_coefficient

MAX_COLUMNS = 6
INITIAL_COLUMNS = 3
"""The number of columns when the page opens."""


@dataclass(frozen=True)
class ColumnControls:
    """The values of one column's list and slider."""

    variant: Any
    """An entry of the list, or typed text such as `sku`, `sku@1.5` or `ga@0.5+sku@1`."""
    coefficient: Any

    def text(self) -> str:
        """The variant as a person writes it. A single adapter takes its coefficient from the slider, a sum does not.

        Raises:
            ValueError: if this is not a variant, or the slider's value is not a coefficient.
        """
        if not isinstance(self.variant, str):
            raise ValueError(
                f"variant {self.variant!r} is not a text; write NAME or NAME@COEFFICIENT, for example sku@1.0"
            )
        spec = parse_variant(self.variant)
        part = spec.only_part
        if part is None or part.name == BASE or spec.server is not None or part.coefficient is not None:
            return self.variant
        return f"{part}@{checked_coefficient(self.coefficient):g}"


@dataclass(frozen=True)
class Controls:
    """The values of all controls."""

    prompt: Any
    length: Any
    temperature: Any
    seed: Any
    samples: Any
    count: Any
    columns: tuple[ColumnControls, ...]
    attack: Any = NO_ATTACK
    answer_start: Any = ""
    """How every answer begins, for the attack that takes it."""
    system: Any = ""
    """The system prompt."""
    earlier: Any = ()
    """The questions of the conversation before the prompt."""

    def chooses(self, attack: ChosenAttack) -> bool:
        """Whether `attack` is chosen."""
        return self.attack == attack.name and (attack.name != OWN_PREFILL or self.answer_start == attack.text)

    def shown(self) -> range:
        """The columns that are shown."""
        valid = isinstance(self.count, int) and 1 <= self.count <= MAX_COLUMNS
        return range(self.count if valid else INITIAL_COLUMNS)

    def variants(self) -> list[str]:
        """The variants in the shown columns.

        Raises:
            ValueError: if a shown column does not hold a valid variant.
        """
        return [self.columns[i].text() for i in self.shown()]
