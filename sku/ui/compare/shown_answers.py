"""The state of one visitor's page: the answers and verdicts in its columns, and the prompts asked so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.records import Verdict
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
        self.opening = False
        """Whether a link was opened whose answers are still to be judged or asked for."""

    def ask(self, prompt: str, model: str, settings: ComparisonSettings) -> None:
        """Record a new question and move its prompt to the front of the history."""
        self.prompt, self.model, self.settings = prompt, model, settings
        self.history = [prompt, *(earlier for earlier in self.history if earlier != prompt)][:_MAX_HISTORY]

    def answer(self, i: int, column: ComparedColumn, seconds: float, attack: ChosenAttack = WITHOUT_ATTACK) -> None:
        """Record what column `i` shows now. Its first sample took `seconds`."""
        self.columns[i], self.seconds[i], self.attacks[i] = column, seconds, attack

    def measure(self, i: int, kl: float) -> None:
        """Record the KL from base of column `i`."""
        self.columns[i] = dataclasses.replace(self.columns[i], kl=kl)

    def replay(self, comparison: Comparison) -> None:
        """Replace everything with an exported comparison, which contains no times."""
        self.ask(comparison.prompt, comparison.model, comparison.settings)
        self.columns, self.seconds = dict(enumerate(comparison.parts)), {}
        self.attacks = dict.fromkeys(self.columns, comparison.settings.attack)

    def open_link(
        self, prompt: str, model: str, settings: ComparisonSettings, columns: dict[int, ComparedColumn]
    ) -> None:
        """Replace everything with what a link holds: a prompt, and in some columns answers that nobody has judged."""
        self.ask(prompt, model, settings)
        self.columns, self.seconds = columns, {}
        self.attacks = dict.fromkeys(columns, settings.attack)
        self.opening = True

    def unjudged_from_link(self) -> dict[int, ComparedColumn]:
        """The columns whose answers came out of a link and have no verdict yet."""
        return {i: column for i, column in self.columns.items() if column.from_link and not column.verdicts}

    def judge(self, i: int, verdict: Verdict) -> ComparedColumn:
        """Record the verdict on the only answer of column `i`, and give the column."""
        self.columns[i] = dataclasses.replace(self.columns[i], verdicts=(verdict,))
        return self.columns[i]

    def clear(self) -> None:
        """Forget what the columns show. The history stays."""
        self.prompt, self.columns, self.attacks, self.seconds = "", {}, {}, {}
        self.opening = False

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

    def base_column(self, columns: Iterable[int]) -> ComparedColumn | None:
        """The first of `columns` that shows the base's answer to the newest prompt; None if none does."""
        return next(
            (self.columns[i] for i in columns if self.answers_prompt(i) and self.columns[i].variant == BASE), None
        )
