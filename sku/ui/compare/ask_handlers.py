"""Asking: stream the answers of some columns, then have them judged. Says what to show; lays nothing out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from sku.core.records import Verdict
from sku.core.variants import BASE
from sku.serving.session import Session
from sku.serving.streaming import ColumnState
from sku.ui.compare import badges
from sku.ui.compare.latest_request import LatestRequest
from sku.ui.compare.record import ComparedColumn, Comparison, ComparisonSettings
from sku.ui.hosting.gate import Gate, checked_coefficient
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.visitors import visitor_of

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens

MAX_COLUMNS = 6
DECODING_QUEUE: dict[str, Any] = {"concurrency_id": "decoding", "concurrency_limit": 4}
"""Of every event that asks the model: they share one queue."""


class Controls(NamedTuple):
    """The values of the page's controls, as handlers get them."""

    prompt: Any
    length: Any
    temperature: Any
    seed: Any
    samples: Any
    count: Any
    names: Sequence[Any]
    coefficients: Sequence[Any]

    @classmethod
    def of(cls, prompt: Any, *values: Any) -> Controls:
        """From prompt, length, temperature, seed, samples, count, then all variants, then all coefficients."""
        length, temperature, seed, samples, count, *columns = values
        return cls(prompt, length, temperature, seed, samples, count, columns[:MAX_COLUMNS], columns[MAX_COLUMNS:])

    def shown(self) -> range:
        """The columns that are there to be seen."""
        return range(self.count if isinstance(self.count, int) and 1 <= self.count <= MAX_COLUMNS else 3)

    def variant(self, i: int) -> str:
        """What column `i` holds, as a person writes it.

        Raises:
            ValueError: for a coefficient that is none.
        """
        name = self.names[i]
        return str(name) if name == BASE else f"{name}@{checked_coefficient(self.coefficients[i]):g}"


class ShownAnswers:
    """What a visitor's columns show. One a page, changed in place: columns may be asked at the same time."""

    def __init__(self) -> None:
        self.prompt, self.model, self.settings = "", "", ComparisonSettings()
        self.parts: dict[int, ComparedColumn] = {}
        self.seconds: dict[int, float] = {}
        self.history: list[str] = []

    def comparison(self, columns: Sequence[int]) -> Comparison | None:
        """The columns' answers to the newest prompt; None before there is one."""
        parts = tuple(self.parts[i] for i in columns if i in self.parts and self._fresh(self.parts[i]))
        return Comparison(self.prompt, self.model, self.settings, parts) if parts else None

    def base_text(self, columns: Sequence[int]) -> str | None:
        """What base answered to the newest prompt, if it is shown."""
        texts = (self.parts[i].answers[0].text for i in columns if i in self.parts and self._base(self.parts[i]))
        return next(texts, None)

    def remember(self, prompt: str) -> None:
        """The newest prompt comes first, each once."""
        self.prompt = prompt
        self.history = [prompt, *(one for one in self.history if one != prompt)][:30]

    def _base(self, part: ComparedColumn) -> bool:
        return part.variant == BASE and self._fresh(part)

    def _fresh(self, part: ComparedColumn) -> bool:
        return bool(part.answers) and part.answers[0].prompt == self.prompt


class AskHandlers:
    """Answers for the columns of every visitor's page."""

    def __init__(self, session: Session, gate: Gate) -> None:
        self.session, self.gate, self.turns = session, gate, LatestRequest()

    def handler(self, columns: Sequence[int], many: bool = False, silent: bool = False) -> Callable[..., Iterator[Any]]:
        """A handler for some columns: from `Shown` and the values of `Asked` to answer and facts of each.

        Args:
            columns: which are asked, from 0; those that are not shown stay out.
            many: as many samples as the page says, instead of one.
            silent: do nothing without a prompt, instead of refusing.
        """

        def ask(request: gr.Request, shown: ShownAnswers, *values: Any) -> Iterator[Any]:
            asked = Controls.of(*values)
            if silent and isinstance(asked.prompt, str) and not asked.prompt.strip():
                return
            here = [i for i in columns if i in asked.shown()]
            if not many:
                asked = asked._replace(samples=1)
            for parts in self._ask(request, shown, asked, here):
                yield [part for i in columns for part in parts.get(i, (gr.skip(), gr.skip()))]

        return ask

    def missing(self, request: gr.Request, shown: ShownAnswers, *values: Any) -> Iterator[Any]:
        """A handler that asks the columns that came into sight and have no answer to this prompt yet."""
        asked = Controls.of(*values)
        if not shown.prompt or asked.prompt != shown.prompt:
            return
        bare = [i for i in asked.shown() if i not in shown.parts or shown.parts[i].answers[0].prompt != shown.prompt]
        if bare:
            for parts in self.handler(bare, silent=True)(request, shown, *values):
                pairs = dict(zip(bare, zip(parts[::2], parts[1::2], strict=True), strict=True))
                yield [part for i in range(MAX_COLUMNS) for part in pairs.get(i, (gr.skip(), gr.skip()))]

    def lens(self, request: gr.Request, asked: Controls, prompt: str, given: str) -> TokenLens:
        """`given` as an answer to `prompt`, under the shown columns.

        Raises:
            ValueError: for what may not be looked at.
            OSError: if the weights can't be had.
            RateLimited: if the visitor has asked too often.
        """
        person = visitor_of(request, self.gate.hosting.proxy)
        known = {choice.name for choice in self.session.choices(self.gate.owner(person))}
        names = [self.gate.variant(asked.variant(i), known) for i in asked.shown()]
        return self.session.lens(*self.gate.given(person, prompt, given), names)

    def _ask(
        self, request: gr.Request, shown: ShownAnswers, asked: Controls, columns: Sequence[int]
    ) -> Iterator[dict[int, tuple[Any, Any]]]:
        who, session = str(request.session_hash), self.session
        person = visitor_of(request, self.gate.hosting.proxy)
        labels = {choice.name: choice.label for choice in session.choices(self.gate.owner(person))}
        try:
            question = self.gate.question(
                person,
                asked.prompt,
                [asked.variant(i) for i in columns],
                labels,
                asked.length,
                asked.temperature,
                asked.seed,
                asked.samples,
            )
        except (ValueError, RateLimited) as error:
            raise gr.Error(str(error), title="Not asked") from error
        mine = self.turns.take(who, columns)  # not before: what is refused leaves the answer under way alone
        shown.remember(question.prompt)
        shown.model = session.model_name
        config = question.config
        shown.settings = ComparisonSettings(config.max_new_tokens, config.temperature, config.seed, config.samples)
        status = session.status
        progress = "writing" if status.ready else f"waking: {status.progress or 'loading'}"
        yield {i: ("", badges.waiting_line(progress)) for i in columns}
        state: list[ColumnState] = []
        try:
            for state in session.ask(
                question.prompt, question.variants, config, lambda: not self.turns.mine(who, mine)
            ):
                live = self.turns.mine(who, mine)
                lines = {i: (_text(column), _facts(column)) for i, column in zip(columns, state, strict=True)}
                if not live:
                    if any(column.writing for column in state):
                        continue  # the next state is the last one and says how the answers ended
                    yield {i: (gr.skip(), lines[i][1]) for i in self.turns.stopped(who, mine)}
                    return
                yield {i: lines[i] for i in live}
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), title="No answer") from error
        told = dict(zip(columns, state, strict=True))
        yield {i: (gr.skip(), _judging(told[i])) for i in self.turns.mine(who, mine)}
        verdicts, fault = self._verdicts(question.prompt, state)
        for i, column in told.items():
            if i in self.turns.mine(who, mine) and column.answer:
                said = tuple(verdicts.get((column.name, one.text)) for one in column.samples)
                label = labels.get(str(asked.names[i]), column.name)
                shown.parts[i] = ComparedColumn(
                    column.name, label, column.samples, tuple(one for one in said if one is not None)
                )
                shown.seconds[i] = column.seconds
        self._measure(shown, list(told))
        now = [*self.turns.mine(who, mine), *self.turns.stopped(who, mine)]
        yield {i: (gr.skip(), self._line(shown, i, column, fault)) for i, column in told.items() if i in now}

    def _verdicts(self, prompt: str, state: Sequence[ColumnState]) -> tuple[dict[tuple[str, str], Verdict], str]:
        """Column name and text to verdict, or why there are none."""
        texts = list(dict.fromkeys(one.text for column in state for one in column.samples))
        try:
            found = dict(zip(texts, self.session.verdicts(prompt, texts), strict=True)) if texts else {}
        except (ValueError, OSError) as error:
            return {}, str(error)
        return {(c.name, one.text): found[one.text] for c in state for one in c.samples}, ""

    def _measure(self, shown: ShownAnswers, columns: Sequence[int]) -> None:
        """KL from base of the columns, on base's own answer where base is shown."""
        given = shown.base_text(range(MAX_COLUMNS))
        fresh = [i for i in columns if i in shown.parts and shown.parts[i].answers[0].prompt == shown.prompt]
        if not given or not given.strip() or not fresh:
            return
        try:
            numbers = self.session.divergence(shown.prompt, given, [shown.parts[i].variant for i in fresh])
        except (ValueError, OSError):  # beyond the context: not measured, which is what None says
            return
        for i, number in zip(fresh, numbers, strict=True):
            shown.parts[i] = dataclasses.replace(shown.parts[i], kl=number)

    def _line(self, shown: ShownAnswers, i: int, column: ColumnState, fault: str) -> str:
        part = shown.parts.get(i)
        if column.answer is None or part is None:
            return badges.no_answer_line(column.error)
        if fault:
            return f"{_facts(column)}<br>{badges.unjudged_line(fault)}"
        return badges.judged_lines(part, column.seconds)


def _text(column: ColumnState) -> str:
    return column.answer.text if column.answer else ""


def _facts(column: ColumnState) -> str:
    if column.answer is None:
        return badges.no_answer_line(column.error)
    return badges.facts_line(column.answer, "writing" if column.writing else column.answer.stopped, column.seconds)


def _judging(column: ColumnState) -> str:
    return _facts(column) + ("<br>" + badges.JUDGING_LINE if column.answer else "")
