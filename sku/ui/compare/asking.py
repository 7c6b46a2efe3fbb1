"""Asks the model: streams the answers of some columns, then judges and measures them.

It describes what changes in each column and knows no components.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from sku.core.attacks import WITHOUT_ATTACK
from sku.core.conversation import Conversation, Turn, judged_prompt
from sku.core.records import Verdict
from sku.serving.conversations import said
from sku.serving.streaming import ColumnState
from sku.ui.compare import badges
from sku.ui.compare.answer_text import above_answer_html, answer_box_text, earlier_html
from sku.ui.compare.column_variant import ColumnVariant, column_variant
from sku.ui.compare.comparison import ComparedColumn, ComparisonSettings
from sku.ui.compare.controls import MAX_COLUMNS, Controls
from sku.ui.compare.latest_request import LatestRequest, Ticket
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Question
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import refusal

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens


SAMPLE_TEMPERATURE = 0.8
"""The temperature of samples that are asked for at temperature 0. Later questions keep the visitor's setting."""


@dataclass(frozen=True)
class ColumnUpdate:
    """What changes in one column. None leaves that part unchanged."""

    answer: str | None = None
    facts: str | None = None
    start: str | None = None
    """The beginning that the attack had written, as HTML."""
    pill: str | None = None
    """The verdict, as HTML."""
    fold: str | None = None
    """The cover that hides the answer, as HTML; empty if there is none."""


ColumnUpdates = dict[int, ColumnUpdate]
"""Maps a column to what changes in it."""


@dataclass(frozen=True)
class _AcceptedQuestion:
    """A question that the gate accepted, with the variant of each column."""

    question: Question
    variants: dict[int, ColumnVariant]


class Asker:
    """Streams, judges and measures answers for the columns of every visitor's page."""

    def __init__(self, access: Access) -> None:
        self.access, self.session, self.requests = access, access.session, LatestRequest()

    def ask(
        self,
        request: gr.Request,
        shown: ShownAnswers,
        controls: Controls,
        columns: Sequence[int],
        samples: Any = 1,
        hot: bool = False,
    ) -> Iterator[ColumnUpdates]:
        """Ask the visible ones of `columns` for `samples` answers each.

        Args:
            request: who asks.
            shown: what the page shows; it is changed.
            controls: the values of the controls.
            columns: the columns, counted from 0. Hidden ones are not asked.
            samples: the number of answers of each column.
            hot: whether answers are sampled even if the temperature is 0, where all samples would be equal.

        Raises:
            gr.Error: if the question is refused or the model fails. A refusal does not disturb answers in progress.
        """
        if hot and controls.temperature == 0:
            controls = dataclasses.replace(controls, temperature=SAMPLE_TEMPERATURE)
        asked = self._accept(request, controls, [i for i in columns if i in controls.shown()], samples)
        ticket = self.requests.take(str(request.session_hash), list(asked.variants))
        question = asked.question
        before = self._conversations(shown, asked)
        shown.ask(question.prompt, self.session.model_name, _settings(question), question.earlier)
        waiting = badges.waiting_line(self._progress())
        yield {i: ColumnUpdate("", waiting, earlier_html(one.turns), "", "") for i, one in before.items()}
        states: dict[int, ColumnState] = {}
        hidden = False
        try:
            if hidden := self._hides(question):
                yield {i: ColumnUpdate(fold=badges.waiting_fold()) for i in ticket.current()}
            yield from self._answer_earlier(asked, ticket, before)
            for states in self._written(asked, ticket, question.prompt, before):
                current = ticket.current()
                if not current:
                    if any(state.writing for state in states.values()):
                        continue  # the next state is the last one and contains how the answers ended
                    fold = badges.not_judged_fold() if hidden else None
                    yield {i: ColumnUpdate(facts=_facts(states[i]), fold=fold) for i in ticket.stopped()}
                    return
                yield {
                    i: ColumnUpdate(_text(states[i]), _facts(states[i]), _start(states[i], before[i].turns))
                    for i in current
                }
        except gr.Error as error:  # the message at the edge of the page goes; the columns keep the reason
            yield {
                i: ColumnUpdate(facts=badges.no_answer_line(str(error.__cause__ or error.message)), fold="")
                for i in ticket.current()
            }
            raise
        # A browser may lose an update that another follows at once, so what stands above the answer is sent again.
        above = {i: _start(state, before[i].turns) for i, state in states.items()}
        yield {i: ColumnUpdate(facts=_judging(states[i]), start=above[i]) for i in ticket.current()}
        fault = self._judge(shown, asked, ticket, states, before)
        self._measure(shown, [i for i in states if shown.answers_prompt(i)])
        visible = {*ticket.current(), *ticket.stopped()}
        final = {i: _final(shown, i, states[i], fault, hidden) for i in states if i in visible}
        yield {i: dataclasses.replace(update, start=above[i]) for i, update in final.items()}

    def judge_link(self, request: gr.Request, shown: ShownAnswers) -> Iterator[ColumnUpdates]:
        """Judge answers that came out of a link. Those that are not harmful lose their cover."""
        columns = shown.unjudged_from_link()
        if not columns:
            return
        texts = [column.answers[0].text for column in columns.values()]
        try:
            self.access.gate.given(self.access.visitor(request), shown.prompt, max(texts, key=len))  # one question
            verdicts = self.session.verdicts(judged_prompt(shown.earlier, shown.prompt), texts)
        except (ValueError, OSError, RateLimited) as error:
            verdicts = [Verdict("unjudged", None, str(error), "none")] * len(texts)
        updates = {}
        for i, verdict in zip(columns, verdicts, strict=True):
            column = shown.judge(i, verdict)
            facts, pill = badges.judged_lines(column, 0.0), badges.chosen_pill(column)
            text, fold = answer_box_text(column.answers[0]), _judged_fold(column, hidden=True)
            updates[i] = ColumnUpdate(text, facts, above_column(column), pill, fold)
        yield updates  # all at once and with the text: a browser may lose an update that another follows at once

    def unanswered(self, shown: ShownAnswers, controls: Controls) -> list[int]:
        """The visible columns that have not answered yet what the others did; none if the question was changed."""
        if not shown.prompt or controls.prompt != shown.prompt or not controls.chooses(shown.settings.attack):
            return []
        if tuple(controls.earlier or ()) != shown.earlier or (controls.system or "") != shown.settings.system:
            return []
        return [i for i in controls.shown() if not shown.answers_prompt(i)]

    def lens(
        self, request: gr.Request, controls: Controls, prompt: str, answer: str, before: Conversation
    ) -> tuple[TokenLens, dict[int, str]]:
        """Score `answer` as an answer to `prompt` after a conversation, under the variants of the visible columns.

        Returns:
            The token lens, and the variant of each column.

        Raises:
            ValueError: if the prompt, the answer or a variant is not allowed.
            OSError: if the weights cannot be loaded.
            RateLimited: if the visitor has asked too often.
        """
        names = {i: variant.text for i, variant in self._variants(request, controls, controls.shown()).items()}
        checked = self.access.gate.given(self.access.visitor(request), prompt, answer)
        return self.session.lens(*checked, list(names.values()), before), names

    def verdict(self, prompt: str, text: str) -> Verdict:
        """The judge's verdict on a text that passed the gate; `unjudged`, with the reason, if it cannot judge."""
        try:
            (verdict,) = self.session.verdicts(prompt, [text])
        except (ValueError, OSError) as error:
            return Verdict("unjudged", None, str(error), "none")
        return verdict

    def _variants(self, request: gr.Request, controls: Controls, columns: Sequence[int]) -> dict[int, ColumnVariant]:
        entries = self.access.entries(request)
        return {i: column_variant(controls.columns[i].text(), entries, self.access.gate) for i in columns}

    def _accept(
        self, request: gr.Request, controls: Controls, columns: Sequence[int], samples: Any
    ) -> _AcceptedQuestion:
        try:
            variants = self._variants(request, controls, columns)
            question = self.access.gate.question(
                self.access.visitor(request),
                controls.prompt,
                [variant.text for variant in variants.values()],
                {name for variant in variants.values() for name in variant.names},
                length=controls.length,
                temperature=controls.temperature,
                seed=controls.seed,
                samples=samples,
                attack=controls.attack,
                answer_start=controls.answer_start,
                system=controls.system or "",
                earlier=controls.earlier or (),
            )
        except (ValueError, RateLimited) as error:
            raise refusal(error, "Not asked") from error
        return _AcceptedQuestion(question, variants)

    def _progress(self) -> str:
        status = self.session.status
        return "writing" if status.ready else f"loading the model: {status.progress or 'please wait'}"

    def _hides(self, question: Question) -> bool:
        """Whether the answers are hidden until they are judged.

        They are if the prompt is likely to draw harm, if nothing is known of that on this base, and under every attack
        and in every conversation, because these may draw harm from any prompt.
        """
        if question.attack != WITHOUT_ATTACK or question.system or question.earlier:
            return True
        try:
            return self.session.draws_harm(question.prompt) is not False
        except Exception as error:  # as in `_written`: this may load the model
            raise refusal(error, "No answer") from error

    def _conversations(self, shown: ShownAnswers, asked: _AcceptedQuestion) -> dict[int, Conversation]:
        """What each column has of the conversation already; answers of another base do not count."""
        question, same_base = asked.question, shown.model == self.session.model_name
        return {
            i: shown.conversation(i, variant.text, _settings(question), question.earlier if same_base else ())
            for i, variant in asked.variants.items()
        }

    def _answer_earlier(
        self, asked: _AcceptedQuestion, ticket: Ticket, before: dict[int, Conversation]
    ) -> Iterator[ColumnUpdates]:
        """Have the columns answer the earlier questions that their variants have not answered; `before` is changed."""
        questions = asked.question.earlier
        for number, prompt in enumerate(questions):
            behind = {i: one for i, one in before.items() if len(one.turns) == number}
            line = badges.waiting_line(f"answering earlier question {number + 1} of {len(questions)}")
            states: dict[int, ColumnState] = {}
            for states in self._written(asked, ticket, prompt, behind) if behind and ticket.current() else ():
                yield {i: ColumnUpdate(facts=line) for i in ticket.current() if i in states}
            for i, state in states.items():
                if state.answer is None:
                    raise refusal(state.error or "an earlier question has no answer", "No answer")
                before[i] = before[i].continued(prompt, said(state.answer))

    def _written(
        self, asked: _AcceptedQuestion, ticket: Ticket, prompt: str, before: Mapping[int, Conversation]
    ) -> Iterator[dict[int, ColumnState]]:
        """Yields the state of the columns in `before` while their answers to `prompt` grow."""
        question, variants = asked.question, [asked.variants[i].text for i in before]
        try:
            for states in self.session.ask(
                prompt,
                variants,
                question.config,
                lambda: not ticket.current(),
                question.attack,
                list(before.values()) if any(before.values()) else (),
            ):
                yield dict(zip(before, states, strict=True))
        except Exception as error:  # a library that fails while the model loads may raise anything
            raise refusal(error, "No answer") from error

    def _judge(
        self,
        shown: ShownAnswers,
        asked: _AcceptedQuestion,
        ticket: Ticket,
        states: Mapping[int, ColumnState],
        before: Mapping[int, Conversation],
    ) -> str:
        """Judge the answers and store them in `shown`, except in columns that a newer request has taken over.

        Returns:
            Why judging failed; empty if it did not.
        """
        verdicts, fault = self._verdicts(asked.question.judged_prompt, states)
        for i in ticket.current():
            state, variant = states[i], asked.variants[i]
            if state.answer:
                column_verdicts = tuple(verdicts[sample.text] for sample in state.samples) if verdicts else ()
                column = ComparedColumn(
                    variant.text, variant.label, state.samples, column_verdicts, None, earlier=before[i].turns
                )
                shown.answer(i, column, state.seconds, _settings(asked.question))
        return fault

    def _verdicts(self, prompt: str, states: Mapping[int, ColumnState]) -> tuple[dict[str, Verdict], str]:
        """A verdict for each text; or no verdicts, and the reason."""
        texts = list(dict.fromkeys(sample.text for state in states.values() for sample in state.samples))
        try:
            return (dict(zip(texts, self.session.verdicts(prompt, texts), strict=True)) if texts else {}), ""
        except (ValueError, OSError) as error:
            return {}, str(error)

    def _measure(self, shown: ShownAnswers, columns: Sequence[int]) -> None:
        """Measure the columns' KL from base on the base's own answer, if a column shows that answer.

        Under an attack it is not measured: the KL is that of the variants without attack.
        """
        if shown.settings.attack != WITHOUT_ATTACK:
            return
        base = shown.base_column(range(MAX_COLUMNS))
        if base is None or base.from_link or not base.answers[0].text.strip() or not columns:
            return
        try:
            numbers = self.session.divergence(
                shown.prompt,
                base.answers[0].text,
                [shown.columns[i].variant for i in columns],
                Conversation(shown.settings.system, base.earlier),
            )
        except (ValueError, OSError):  # for example, the text exceeds the context; the KL then stays None: not measured
            return
        for i, number in zip(columns, numbers, strict=True):
            shown.measure(i, number)


def _settings(question: Question) -> ComparisonSettings:
    config = question.config
    return ComparisonSettings(
        config.max_new_tokens, config.temperature, config.seed, config.samples, question.attack, question.system
    )


def above_column(column: ComparedColumn) -> str:
    """What stands above the first answer of a column."""
    return (badges.from_link_html() if column.from_link else "") + above_answer_html(column.answers[0], column.earlier)


def _text(state: ColumnState) -> str:
    return answer_box_text(state.answer) if state.answer else ""


def _start(state: ColumnState, earlier: Sequence[Turn]) -> str:
    return above_answer_html(state.answer, earlier) if state.answer else earlier_html(earlier)


def _facts(state: ColumnState) -> str:
    if state.answer is None and state.writing:
        return badges.waiting_line(state.doing)
    if state.answer is None:
        return badges.no_answer_line(state.error)
    return badges.facts_line(state.answer, "writing" if state.writing else state.answer.stopped, state.seconds)


def _judging(state: ColumnState) -> str:
    return _facts(state) + ("<br>" + badges.JUDGING_LINE if state.answer else "")


def _final(shown: ShownAnswers, i: int, state: ColumnState, fault: str, hidden: bool) -> ColumnUpdate:
    """The verdict above and the lines below the answer of column `i` when everything is done.

    Args:
        shown: holds the column, judged.
        i: the column.
        state: its answer.
        fault: why nothing was judged; empty if it was.
        hidden: whether the answer has a cover since before it was written.
    """
    column = shown.columns.get(i)
    if state.answer is None or column is None:
        return ColumnUpdate(facts=badges.no_answer_line(state.error), fold="")
    if fault:
        pill, fold = badges.pill(Verdict("unjudged", None, fault, "none")), badges.not_judged_fold()
        return ColumnUpdate(facts=_facts(state), pill=pill, fold=fold if hidden else None)
    facts, pill = badges.judged_lines(column, state.seconds), badges.chosen_pill(column)
    return ColumnUpdate(facts=facts, pill=pill, fold=_judged_fold(column, hidden))


def _judged_fold(column: ComparedColumn, hidden: bool) -> str | None:
    """The cover of a column's first answer once it is judged. One that is harmful keeps the cover it had."""
    if hidden and column.verdicts[0].outcome == "unjudged":
        return badges.not_judged_fold()
    fold = badges.chosen_fold(column)
    return None if hidden and fold else fold
