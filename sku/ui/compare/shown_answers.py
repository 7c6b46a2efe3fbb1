"""What the columns of one visitor's page show: answers, verdicts, and the prompts asked so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from sku.core.variants import BASE
from sku.ui.compare.record import ComparedColumn, Comparison, ComparisonSettings

_HISTORY = 30
"""Prompts that are remembered."""


class ShownAnswers:
    """One a page, changed in place: columns may be asked at the same time."""

    def __init__(self) -> None:
        self.prompt, self.model = "", ""
        self.settings = ComparisonSettings(length=96, temperature=0.0, seed=0, samples=1)
        self.columns: dict[int, ComparedColumn] = {}
        self.seconds: dict[int, float] = {}
        self.history: list[str] = []

    def ask(self, prompt: str, model: str, settings: ComparisonSettings) -> None:
        """A new question: its prompt comes first in the history, each prompt once."""
        self.prompt, self.model, self.settings = prompt, model, settings
        self.history = [prompt, *(one for one in self.history if one != prompt)][:_HISTORY]

    def answer(self, i: int, column: ComparedColumn, seconds: float) -> None:
        """Column `i` shows this now; its first sample took `seconds`."""
        self.columns[i], self.seconds[i] = column, seconds

    def measure(self, i: int, kl: float) -> None:
        """The KL from base of what column `i` shows."""
        self.columns[i] = dataclasses.replace(self.columns[i], kl=kl)

    def replay(self, comparison: Comparison) -> None:
        """Show an exported comparison, of which no times are known."""
        self.ask(comparison.prompt, comparison.model, comparison.settings)
        self.columns, self.seconds = dict(enumerate(comparison.parts)), {}

    def answers_prompt(self, i: int) -> bool:
        """Whether column `i` answers the newest prompt."""
        column = self.columns.get(i)
        return column is not None and bool(column.answers) and column.answers[0].prompt == self.prompt

    def comparison(self, columns: Iterable[int]) -> Comparison | None:
        """The columns' answers to the newest prompt; None before there is one."""
        parts = tuple(self.columns[i] for i in columns if self.answers_prompt(i))
        return Comparison(self.prompt, self.model, self.settings, parts) if parts else None

    def base_text(self, columns: Iterable[int]) -> str | None:
        """What the base answered to the newest prompt, if one of the columns shows it."""
        bases = (i for i in columns if self.answers_prompt(i) and self.columns[i].variant == BASE)
        return next((self.columns[i].answers[0].text for i in bases), None)
