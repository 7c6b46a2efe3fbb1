"""The state of one visitor's page: the answers and verdicts in its columns, and the prompts asked so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.variants import BASE
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings

_MAX_HISTORY = 30
"""The number of prompts that the history keeps."""


class ShownAnswers:
    """The answers on one page. It is changed in place, because several columns may be asked at the same time."""

    def __init__(self) -> None:
        self.prompt, self.model = "", ""
        self.settings = ComparisonSettings(length=96, temperature=0.0, seed=0, samples=1)
        self.columns: dict[int, ComparedColumn] = {}
        self.attacks: dict[int, ChosenAttack] = {}
        """The attack under which each column was asked."""
        self.seconds: dict[int, float] = {}
        self.history: list[str] = []

    def ask(self, prompt: str, model: str, settings: ComparisonSettings) -> None:
        """Record a new question and move its prompt to the front of the history."""
        self.prompt, self.model, self.settings = prompt, model, settings
        self.history = [prompt, *(earlier for earlier in self.history if earlier != prompt)][:_MAX_HISTORY]

    def answer(self, i: int, column: ComparedColumn, seconds: float, attack: ChosenAttack = WITHOUT_ATTACK) -> None:
        """Record what column `i` shows now. Its first sample took `seconds`."""
        self.columns[i], self.seconds[i], self.attacks[i] = column, seconds, attack

    def measure(self, i: int, kl: float | None) -> None:
        """Record the KL from base of column `i`; None if it cannot be measured."""
        self.columns[i] = dataclasses.replace(self.columns[i], kl=kl)

    def replay(self, comparison: Comparison) -> None:
        """Replace everything with an exported comparison, which contains no times."""
        self.ask(comparison.prompt, comparison.model, comparison.settings)
        self.columns, self.seconds = dict(enumerate(comparison.parts)), {}
        self.attacks = dict.fromkeys(self.columns, comparison.settings.attack)

    def clear(self) -> None:
        """Forget what the columns show. The history stays."""
        self.prompt, self.columns, self.attacks, self.seconds = "", {}, {}, {}

    def answers_prompt(self, i: int) -> bool:
        """Whether column `i` shows an answer to the newest prompt, under the newest attack."""
        column = self.columns.get(i)
        if column is None or not column.answers or column.answers[0].prompt != self.prompt:
            return False
        return self.attacks[i] == self.settings.attack

    def comparison(self, columns: Iterable[int]) -> Comparison | None:
        """The columns' answers to the newest prompt; None if there are none yet."""
        parts = tuple(self.columns[i] for i in columns if self.answers_prompt(i))
        return Comparison(self.prompt, self.model, self.settings, parts) if parts else None

    def base_text(self, columns: Iterable[int]) -> str | None:
        """The base's answer to the newest prompt, if one of `columns` shows it; otherwise None."""
        bases = (i for i in columns if self.answers_prompt(i) and self.columns[i].variant == BASE)
        return next((self.columns[i].answers[0].text for i in bases), None)
