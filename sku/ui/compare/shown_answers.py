"""The state of one visitor's page: the answers and verdicts in its columns, and the prompts asked so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import takewhile

from sku.core.conversation import Conversation, Turn
from sku.core.records import Verdict
from sku.core.variants import BASE
from sku.serving.conversations import said
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings

_MAX_HISTORY = 30
"""The number of prompts that the history keeps."""


class ShownAnswers:
    """The answers on one page. It is changed in place, because several columns may be asked at the same time."""

    def __init__(self) -> None:
        self.prompt, self.model = "", ""
        self.settings = ComparisonSettings(length=96, temperature=0.0, seed=0, samples=1)
        self.columns: dict[int, ComparedColumn] = {}
        self.earlier: tuple[str, ...] = ()
        """The questions of the conversation before the newest prompt."""
        self.asked_with: dict[int, ComparisonSettings] = {}
        """The settings under which each column was asked."""
        self.seconds: dict[int, float] = {}
        self.history: list[str] = []
        self.choices: dict[int, int] = {}
        """How many choices of a variant each column had when it was last asked because of one."""
        self.opening = False
        """Whether a link was opened whose answers are still to be judged or asked for."""

    def ask(self, prompt: str, model: str, settings: ComparisonSettings, earlier: Sequence[str] = ()) -> None:
        """Record a new question and move its prompt to the front of the history."""
        self.prompt, self.model, self.settings, self.earlier = prompt, model, settings, tuple(earlier)
        self.history = [prompt, *(earlier for earlier in self.history if earlier != prompt)][:_MAX_HISTORY]

    def answer(self, i: int, column: ComparedColumn, seconds: float, settings: ComparisonSettings) -> None:
        """Record what column `i` shows now. Its first sample took `seconds`."""
        self.columns[i], self.seconds[i], self.asked_with[i] = column, seconds, settings

    def measure(self, i: int, kl: float | None) -> None:
        """Record the KL from base of column `i`; None if it cannot be measured."""
        self.columns[i] = dataclasses.replace(self.columns[i], kl=kl)

    def replay(self, comparison: Comparison) -> None:
        """Replace everything with an exported comparison, which contains no times."""
        self.ask(comparison.prompt, comparison.model, comparison.settings, comparison.questions)
        self.columns, self.seconds = dict(enumerate(comparison.parts)), {}
        self.asked_with = dict.fromkeys(self.columns, comparison.settings)

    def open_link(
        self,
        prompt: str,
        model: str,
        settings: ComparisonSettings,
        columns: dict[int, ComparedColumn],
        earlier: Sequence[str] = (),
    ) -> None:
        """Replace everything with what a link holds: a prompt, and in some columns answers that nobody has judged."""
        self.ask(prompt, model, settings, earlier)
        self.columns, self.seconds = columns, {}
        self.asked_with = dict.fromkeys(columns, settings)
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
        self.prompt, self.earlier, self.columns, self.asked_with, self.seconds = "", (), {}, {}, {}
        self.opening = False

    def answers_prompt(self, i: int) -> bool:
        """Whether column `i` answers the newest prompt in the newest conversation, under the newest attack."""
        column = self.columns.get(i)
        if column is None or not column.answers or column.answers[0].prompt != self.prompt:
            return False
        return column.questions == self.earlier and _same_context(self.asked_with[i], self.settings)

    def conversation(self, i: int, variant: str, settings: ComparisonSettings, earlier: Sequence[str]) -> Conversation:
        """The conversation of column `i` about the `earlier` questions, as far as `variant` has answered them there.

        Answers out of a link do not count, because nobody here saw the variant write them.
        """
        column, known = self.columns.get(i), tuple[Turn, ...]()
        if column and column.answers and column.variant == variant and not column.from_link:
            first = column.answers[0]
            if _same_context(self.asked_with[i], settings):
                known = (*column.earlier, Turn(first.prompt, said(first)))
        kept = takewhile(lambda pair: pair[0].prompt == pair[1], zip(known, earlier, strict=False))
        return Conversation(settings.system, tuple(turn for turn, _ in kept))

    def conversation_of(self, text: str) -> Conversation:
        """The conversation in which a column gave the answer `text`; for another text, that of the first column."""
        columns = [column for _, column in sorted(self.columns.items()) if column.answers]
        found = next((column for column in columns if column.answers[0].text == text), columns[0] if columns else None)
        return Conversation(self.settings.system, found.earlier if found else ())

    def comparison(self, columns: Iterable[int]) -> Comparison | None:
        """The columns' answers to the newest prompt; None if there are none yet."""
        parts = tuple(self.columns[i] for i in columns if self.answers_prompt(i))
        return Comparison(self.prompt, self.model, self.settings, parts) if parts else None

    def base_column(self, columns: Iterable[int]) -> ComparedColumn | None:
        """The first of `columns` that shows the base's answer to the newest prompt; None if none does."""
        return next(
            (self.columns[i] for i in columns if self.answers_prompt(i) and self.columns[i].variant == BASE), None
        )


def _same_context(one: ComparisonSettings, other: ComparisonSettings) -> bool:
    """Whether the model read the same around the questions. Length and sampling may differ."""
    return (one.attack, one.system) == (other.attack, other.system)
