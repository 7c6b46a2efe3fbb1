"""The heading above an answer and the lines below it, as HTML. All foreign text in it is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sku.core.attacks import NO_ATTACK, find_attack
from sku.core.intervals import wilson
from sku.core.records import Answer, Outcome, Verdict
from sku.core.variants import BASE
from sku.reporting.formatting import percent_range
from sku.reporting.markers import method_marker, outcome_marker
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import diff_and_lens
from sku.ui.compare.column_variant import ColumnVariant
from sku.ui.compare.comparison import ComparedColumn
from sku.ui.glossary import GLOSSARY

JUDGING_LINE = "<span class='verdict'>judging</span>"
# Folding uses a checkbox, so that it needs no server and no script. style.css puts the fold over the answer.
_FOLD = (
    "<label class='fold'><input type='checkbox'>"
    "<span class='when-folded'>show harmful text</span><span class='when-open'>hide</span></label>"
)
_KL_MEANING = (
    "how far this variant is from the base on the base's own answer to this prompt, in nats per token; 0 means equal"
)


def variant_option(entry: CatalogEntry) -> str:
    """A variant's label in a list."""
    return f"{method_marker(entry.method, entry.preservation).mark} {entry.label}"


def variant_heading(variant: ColumnVariant) -> str:
    """The heading of a column: its variant and the variant's formula."""
    marker = variant.marker
    name = f"<b>{marker.mark} {html.escape(variant.label)}</b>"
    return f"<div class='variant' style='--colour:{marker.colour}'>{name} <span>{_formula(variant)}</span></div>"


def _formula(variant: ColumnVariant) -> str:
    """The formula that makes the variant from the base, as HTML."""
    if not variant.terms:
        return "unchanged"
    single = len(variant.terms) == 1
    steps = [
        f"{'minus' if term.subtracted else 'plus'} {term.coefficient:g} &times; "
        + ("task vector" if single else html.escape(term.label))
        for term in variant.terms
    ]
    return " ".join(["base", *steps])


def facts_line(answer: Answer, state: str, seconds: float, kl: float | None = None) -> str:
    """The first line below an answer: length, speed, how it ended, the variant's KL from base, and the attack."""
    speed = f" · {answer.tokens / seconds:.0f} tok/s" if seconds > 0 else ""
    title = html.escape(_KL_MEANING, quote=True)
    kl_text = "" if kl is None else f" · <span title='{title}'>KL from base {kl:.3f}</span>"
    attack = "" if answer.attack == NO_ATTACK else f" · {html.escape(find_attack(answer.attack).label)}"
    return f"{answer.tokens} tokens{speed} · {html.escape(state)}{kl_text}{attack}"


def no_answer_line(error: str | None) -> str:
    """The line that takes the place of a missing answer's facts."""
    return f"<b>no answer</b>: {html.escape(error or '')}"


def judged_lines(part: ComparedColumn, seconds: float, chosen: int = 0) -> str:
    """All lines below sample `chosen` of a column whose answers are complete and judged."""
    kl = None if part.variant == BASE else part.kl
    first = facts_line(part.answers[chosen], part.answers[chosen].stopped, seconds, kl)
    if not part.verdicts:
        return first
    return f"{first}<br>{verdict_line(part.verdicts[chosen], sample_counts(part.verdicts, chosen))}"


def verdict_line(verdict: Verdict, counts: str = "") -> str:
    """The second line: marker, outcome, score, judge and reason; and the fold if the answer is harmful."""
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    if score and verdict.outcome != "harmful":
        score = f" · harm score{score}"
    text = f"{verdict.outcome}{score} · {verdict.judge} · reason: {verdict.reason or 'none given'}"
    return _second_line(verdict.outcome, text, counts) + (_FOLD if verdict.outcome == "harmful" else "")


def sample_counts(verdicts: Sequence[Verdict], chosen: int = 0) -> str:
    """A marker for each sample, and the number of harmful ones with their rate's interval; empty for one sample."""
    if len(verdicts) < 2:
        return ""
    judged = [verdict for verdict in verdicts if verdict.outcome != "unjudged"]
    harmful = sum(verdict.outcome == "harmful" for verdict in judged)
    rate = wilson(harmful, len(judged))
    interval = f" ({percent_range(rate.low, rate.high)} %)" if judged else ""
    title = "harmful answers among the judged ones, with the 95 % Wilson interval of their share"
    count = f"<span title='{title}'>harmful in {harmful} of {len(judged)}{interval}</span>"
    return f"{diff_and_lens.sample_marks(verdicts, chosen)} {count} · "


def unjudged_line(reason: str) -> str:
    """The second line if no judge could be asked."""
    return _second_line("unjudged", f"unjudged: {reason}")


def _second_line(outcome: Outcome, text: str, counts: str = "") -> str:
    marker, escaped = outcome_marker(outcome), html.escape(text)
    title = f"{escaped} ({GLOSSARY[outcome]})"
    mark = f"<b style='color:{marker.colour}'>{marker.mark}</b>"
    return f"<span class='verdict' title='{title}'>{counts}{mark} {escaped}</span>"


def waiting_line(progress: str) -> str:
    """The line below an answer that has not begun."""
    return f"<i>{html.escape(progress)}</i>"
