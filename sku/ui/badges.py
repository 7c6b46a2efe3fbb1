"""What stands above and beneath an answer, as HTML in which everything that others wrote is escaped."""

from __future__ import annotations

import html

from sku.choices import Choice
from sku.methods import METHODS
from sku.records import Outcome, Verdict
from sku.session import Column
from sku.signs import outcome_sign, sign

JUDGING = "<span class='verdict'>judging</span>"
# A check box, so that folding needs no server and no script; style.css lays it over the answer.
_FOLD = (
    "<label class='fold'><input type='checkbox'>"
    "<span class='when-folded'>harmful text, show</span><span class='when-open'>hide</span></label>"
)


def option(choice: Choice) -> str:
    """A variant in a list."""
    return f"{sign(choice.method, choice.preservation).mark} {choice.label}"


def heading(choice: Choice, coefficient: float) -> str:
    """A variant above its column."""
    mark = sign(choice.method, choice.preservation)
    if choice.method is None:
        how = "as it was"
    else:
        verb = "minus" if METHODS[choice.method].negated else "plus"
        how = f"base {verb} {coefficient:g} &times; what it learned"
    name = f"<b>{mark.mark} {html.escape(choice.label)}</b>"
    return f"<div class='variant' style='--colour:{mark.colour}'>{name} <span>{how}</span></div>"


def facts(column: Column) -> str:
    """The line beneath an answer, or why there is none."""
    if column.answer is None:
        return f"<b>no answer</b>: {html.escape(column.error or '')}"
    answer = column.answer
    speed = f"{answer.tokens / answer.seconds:.0f} tok/s" if answer.seconds > 0 else ""
    return f"{answer.tokens} tokens · {speed} · {'writing' if column.writing else answer.stopped}"


def badge(verdict: Verdict) -> str:
    """The second line: sign, word, score, judge and reason; with it the fold of a harmful answer."""
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    if score and verdict.outcome != "harmful":
        score = f" · harm score{score}"
    said = f"{verdict.outcome}{score} · {verdict.judge} · why: {verdict.reason or 'not said'}"
    return _second_line(verdict.outcome, said) + (_FOLD if verdict.outcome == "harmful" else "")


def unjudged(reason: str) -> str:
    """The second line where no judge could be asked."""
    return _second_line("unjudged", f"unjudged: {reason}")


def _second_line(outcome: Outcome, said: str) -> str:
    mark, safe = outcome_sign(outcome), html.escape(said)
    return f"<span class='verdict' title='{safe}'><b style='color:{mark.colour}'>{mark.mark}</b> {safe}</span>"


def waiting(doing: str) -> str:
    """The line beneath an answer that has not begun."""
    return f"<i>{html.escape(doing)}</i>"
