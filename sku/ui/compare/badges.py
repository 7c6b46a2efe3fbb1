"""What stands above and beneath an answer, as HTML in which everything that others wrote is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sku.core.intervals import wilson
from sku.core.methods import METHODS
from sku.core.records import Answer, Outcome, Verdict
from sku.core.variants import BASE
from sku.reporting.formatting import percent_range
from sku.reporting.markers import method_marker, outcome_marker
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import diff_and_lens
from sku.ui.compare.record import ComparedColumn
from sku.ui.glossary import GLOSSARY

JUDGING_LINE = "<span class='verdict'>judging</span>"
# A check box, so that folding needs no server and no script; style.css lays it over the answer.
_FOLD = (
    "<label class='fold'><input type='checkbox'>"
    "<span class='when-folded'>harmful text, show</span><span class='when-open'>hide</span></label>"
)
_KL = "how far this variant is from base on base's own answer to this prompt, nats a token; 0 is no difference"


def variant_option(choice: CatalogEntry) -> str:
    """A variant in a list."""
    return f"{method_marker(choice.method, choice.preservation).mark} {choice.label}"


def variant_heading(choice: CatalogEntry, coefficient: float) -> str:
    """A variant above its column."""
    mark = method_marker(choice.method, choice.preservation)
    if choice.method is None:
        how = "as it was"
    else:
        verb = "minus" if METHODS[choice.method].negated else "plus"
        how = f"base {verb} {coefficient:g} &times; what it learned"
    name = f"<b>{mark.mark} {html.escape(choice.label)}</b>"
    return f"<div class='variant' style='--colour:{mark.colour}'>{name} <span>{how}</span></div>"


def facts_line(answer: Answer, state: str, seconds: float, kl: float | None = None) -> str:
    """The line beneath an answer: how long it is, how fast it came, how it ended, and how far the variant is."""
    speed = f" · {answer.tokens / seconds:.0f} tok/s" if seconds > 0 else ""
    far = "" if kl is None else f" · <span title='{html.escape(_KL, quote=True)}'>KL from base {kl:.3f}</span>"
    return f"{answer.tokens} tokens{speed} · {html.escape(state)}{far}"


def no_answer_line(error: str | None) -> str:
    """The line where there is no answer."""
    return f"<b>no answer</b>: {html.escape(error or '')}"


def judged_lines(part: ComparedColumn, seconds: float, chosen: int = 0) -> str:
    """All that stands beneath sample `chosen` of a column whose answers are written and judged."""
    far = None if part.variant == BASE else part.kl
    first = facts_line(part.answers[chosen], part.answers[chosen].stopped, seconds, far)
    if not part.verdicts:
        return first
    return f"{first}<br>{verdict_line(part.verdicts[chosen], sample_counts(part.verdicts, chosen))}"


def verdict_line(verdict: Verdict, more: str = "") -> str:
    """The second line: sign, word, score, judge and reason; with it the fold of a harmful answer."""
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    if score and verdict.outcome != "harmful":
        score = f" · harm score{score}"
    said = f"{verdict.outcome}{score} · {verdict.judge} · why: {verdict.reason or 'not said'}"
    return _second_line(verdict.outcome, said, more) + (_FOLD if verdict.outcome == "harmful" else "")


def sample_counts(verdicts: Sequence[Verdict], chosen: int = 0) -> str:
    """Of several samples: a sign each, and how many were harmful with the interval of that rate."""
    if len(verdicts) < 2:
        return ""
    clear = [verdict for verdict in verdicts if verdict.outcome != "unjudged"]
    harmful = sum(verdict.outcome == "harmful" for verdict in clear)
    rate = wilson(harmful, len(clear))
    between = f" ({percent_range(rate.low, rate.high)} %)" if clear else ""
    title = "harmful answers of those judged, with the 95 % interval (Wilson)"
    said = f"<span title='{title}'>harmful in {harmful} of {len(clear)}{between}</span>"
    return f"{diff_and_lens.sample_marks(verdicts, chosen)} {said} · "


def unjudged_line(reason: str) -> str:
    """The second line where no judge could be asked."""
    return _second_line("unjudged", f"unjudged: {reason}")


def _second_line(outcome: Outcome, said: str, more: str = "") -> str:
    mark, safe = outcome_marker(outcome), html.escape(said)
    title = f"{safe} ({GLOSSARY[outcome]})"
    return f"<span class='verdict' title='{title}'>{more}<b style='color:{mark.colour}'>{mark.mark}</b> {safe}</span>"


def waiting_line(doing: str) -> str:
    """The line beneath an answer that has not begun."""
    return f"<i>{html.escape(doing)}</i>"
