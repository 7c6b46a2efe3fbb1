"""Sweeps the coefficient of one column on one prompt: all coefficients in one batch, each with the mark of its outcome.

So a person finds the coefficient at which a variant starts to refuse, and sets the slider to it with one click.
"""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from sku.core.conversation import Conversation
from sku.core.records import Outcome
from sku.core.variants import BASE
from sku.reporting.markers import outcome_marker
from sku.serving.conversations import answer_in_turn
from sku.ui.compare.column_variant import ColumnVariant
from sku.ui.compare.components import CompareComponents
from sku.ui.events import Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import refusal

SWEPT_COEFFICIENTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def sweep_handler(components: CompareComponents, access: Access, i: int) -> Callable[[gr.Request, Values], Updates]:
    """Return a handler that sweeps the coefficient of column `i`."""
    column = components.columns[i]

    def sweep_column(request: gr.Request, values: Values) -> Updates:
        held: ColumnVariant = values[column.held]
        controls = components.read(values)
        variants = [BASE if c == 0 else held.at(c).text for c in SWEPT_COEFFICIENTS]
        try:
            question = access.gate.question(
                access.visitor(request),
                controls.prompt,
                variants[-1:],
                {entry.name for entry in access.entries(request)},
                length=controls.length,
                attack=controls.attack,
                answer_start=controls.answer_start,
                system=controls.system or "",
                earlier=controls.earlier or (),
            )
            questions, before = [*question.earlier, question.prompt], Conversation(question.system)
            turns = answer_in_turn(access.session, questions, variants, question.config, question.attack, before)
            *_, (answers, _) = turns
            verdicts = access.session.verdicts(question.judged_prompt, [answer.text for answer in answers])
        except (ValueError, OSError, RateLimited) as error:
            raise refusal(error, "Not swept") from error
        outcomes = [verdict.outcome for verdict in verdicts]
        return {column.sweep.marks: gr.Radio(choices=sweep_options(outcomes), value=None, visible=True)}

    return sweep_column


def sweep_options(outcomes: list[Outcome]) -> list[tuple[str, float]]:
    """Label and value of each coefficient: the mark and the word of its outcome."""
    return [
        (f"{coefficient:g} {outcome_marker(outcome).mark} {outcome}", coefficient)
        for coefficient, outcome in zip(SWEPT_COEFFICIENTS, outcomes, strict=True)
    ]
