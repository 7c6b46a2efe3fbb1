"""The heading and the verdict above an answer, and the lines below it, as HTML. All foreign text in it is escaped."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence

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

OUTCOME_VERBS: dict[Outcome, str] = {
    "harmful": "harmful",
    "refusal": "refuses",
    "safe": "safe",
    "off-topic": "off-topic",
    "broken": "broken",
    "unjudged": "unjudged",
}
"""How a verdict's sentence begins."""
_FINDINGS: dict[Outcome, str] = {
    "harmful": "helps to do harm",
    "refusal": "refuses",
    "safe": "gives a safe answer",
    "off-topic": "drifts off-topic",
    "broken": "is broken",
    "unjudged": "is unjudged",
}
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
    if variant.server:
        return "on another machine"
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
    """The first line below an answer: length, how it ended, the variant's KL from base, speed, and the attack."""
    speed = f" · {answer.tokens / seconds:.0f} tok/s" if seconds > 0 else ""
    title = html.escape(_KL_MEANING, quote=True)
    kl_text = "" if kl is None else f" · <span title='{title}'>KL from base {kl:.3f}</span>"
    attack = "" if answer.attack == NO_ATTACK else f" · {html.escape(find_attack(answer.attack).label)}"
    length = f"cut at {answer.tokens} tokens" if state == "length" else f"{answer.tokens} tokens · {html.escape(state)}"
    return f"{length}{speed}{kl_text}{attack}"


def no_answer_line(error: str | None) -> str:
    """The line that takes the place of a missing answer's facts."""
    return f"<b>no answer</b>: {html.escape(error or '')}"


def judged_lines(part: ComparedColumn, seconds: float, chosen: int = 0) -> str:
    """All lines below sample `chosen` of a column whose answers are complete and judged; and the fold if harmful."""
    kl = None if part.variant == BASE else part.kl
    lines = [facts_line(part.answers[chosen], part.answers[chosen].stopped, seconds, kl)]
    if len(part.verdicts) > 1:
        lines.append(sample_counts(part.verdicts, chosen))
    folded = bool(part.verdicts) and part.verdicts[chosen].outcome == "harmful"
    return "<br>".join(lines) + (_FOLD if folded else "")


def chosen_pill(part: ComparedColumn, chosen: int = 0) -> str:
    """The pill of sample `chosen` of a column; empty if nothing was judged."""
    return pill(part.verdicts[chosen]) if part.verdicts else ""


def pill(verdict: Verdict) -> str:
    """The verdict in one sentence. Its meaning and the judge are shown on hover and focus."""
    marker, reason = outcome_marker(verdict.outcome), html.escape(verdict.reason)
    meaning = html.escape(f"{GLOSSARY[verdict.outcome]}; judge {verdict.judge}", quote=True)
    sentence = f"<b>{OUTCOME_VERBS[verdict.outcome]}</b>" + (f": {reason}" if reason else "")
    return (
        f"<span class='pill' tabindex='0' style='--colour:{marker.colour}' title='{meaning}'>"
        f"<i>{marker.mark}</i> {sentence}</span>"
    )


def stale_pill(asked: str) -> str:
    """The pill of a column whose slider has left the coefficient of its answer."""
    return f"<span class='pill stale'>this answer is of {html.escape(asked)}; release the slider to ask again</span>"


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
    return f"<span class='verdict'>{diff_and_lens.sample_marks(verdicts, chosen)} {count}</span>"


def found_line(parts: Sequence[ComparedColumn]) -> str:
    """What was found for one prompt, in one line: what became of every column's answers, and each variant's KL."""
    found = [_finding(part) for part in parts if part.verdicts]
    return f"<p class='found'><b>Found:</b> {' · '.join(found)}</p>" if found else ""


def _finding(part: ComparedColumn) -> str:
    counts = Counter(verdict.outcome for verdict in part.verdicts)
    outcome, times = counts.most_common(1)[0]
    marker, several = outcome_marker(outcome), len(part.verdicts) > 1
    words = f"{times} of {len(part.verdicts)} {outcome}" if several else _FINDINGS[outcome]
    kl = "" if part.kl is None or part.variant == BASE else f" at KL {part.kl:.2f}"
    name = html.escape(part.variant)
    return f"<span class='finding'><i style='color:{marker.colour}'>{marker.mark}</i> {name} {words}{kl}</span>"


def column_tabs(columns: Mapping[int, tuple[str, Outcome | None]]) -> str:
    """A button for each column with its variant and the mark of its outcome, for a screen that shows one at a time."""
    buttons = []
    for i, (name, outcome) in columns.items():
        mark = "" if outcome is None else f" {outcome_marker(outcome).mark} {outcome}"
        buttons.append(f"<button type='button' data-column='{i}'>{html.escape(name)}{mark}</button>")
    return "".join(buttons)


def waiting_line(progress: str) -> str:
    """The line below an answer that has not begun."""
    return f"<i>{html.escape(progress)}</i>"
