"""The heading and the verdict above an answer, and the lines below it, as HTML. All foreign text in it is escaped."""

from __future__ import annotations

import html
import itertools
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
FINDINGS: dict[Outcome, str] = {
    "harmful": "helps to do harm",
    "refusal": "refuses",
    "safe": "gives a safe answer",
    "off-topic": "drifts off-topic",
    "broken": "is broken",
    "unjudged": "is unjudged",
}
"""What a model does, behind its name in a sentence."""
JUDGING_LINE = "<span class='verdict'>judging</span>"
HARMFUL_FOLD = "show harmful text"
FROM_LINK = "from a link, not written here just now"
WAITING_FOLD = "hidden until judged, show"
NOT_JUDGED_FOLD = "hidden, because it was not judged, show"
_folds = itertools.count()
"""Numbers the folds: the browser must take a fold for a new one, or it would keep the open state of the one before."""
_GATE_MEANING = (
    "this variant's vector is applied only to prompts that a probe of the base takes for harmful; with a closed gate "
    "the answer is the base's own"
)
_KL_MEANING = (
    "how far this variant is from the base on the base's own answer to this prompt, in nats per token; 0 means equal"
)


def variant_option(entry: CatalogEntry) -> str:
    """A variant's label in a list."""
    return f"{method_marker(entry.method, entry.preservation).mark} {entry.label}"


def variant_heading(variant: ColumnVariant) -> str:
    """The heading of a column: its variant and the variant's formula.

    The list below shows the name of a single variant, so only screen readers read it in the heading too.
    """
    marker = variant.marker
    hidden = "" if len(variant.terms) > 1 else " class='in-list'"
    name = f"<b{hidden}>{marker.mark} {html.escape(variant.label)}</b>"
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


def from_link_html() -> str:
    """The line above an answer that came out of a link."""
    return f"<p class='from-link'>{FROM_LINK}</p>"


def facts_line(answer: Answer, state: str, seconds: float, kl: float | None = None) -> str:
    """The first line below an answer: length, how it ended, the variant's KL from base, speed, and the attack."""
    speed = f" · {answer.tokens / seconds:.0f} tok/s" if seconds > 0 else ""
    title = html.escape(_KL_MEANING, quote=True)
    kl_text = "" if kl is None else f" · <span title='{title}'>KL from base {kl:.3f}</span>"
    attack = "" if answer.attack == NO_ATTACK else f" · {html.escape(find_attack(answer.attack).label)}"
    length = f"cut at {answer.tokens} tokens" if state == "length" else f"{answer.tokens} tokens · {html.escape(state)}"
    return f"{length}{speed}{kl_text}{_gate_text(answer.gate)}{attack}"


def _gate_text(gate: float | None) -> str:
    if gate is None:
        return ""
    state = (
        "gate closed: the base answered" if gate == 0 else "gate open" if gate == 1 else f"gate {100 * gate:.0f} % open"
    )
    return f" · <span title='{html.escape(_GATE_MEANING, quote=True)}'>{state}</span>"


def no_answer_line(error: str | None) -> str:
    """The line that takes the place of a missing answer's facts."""
    return f"<b>no answer</b>: {html.escape(error or '')}"


def judged_lines(part: ComparedColumn, seconds: float, chosen: int = 0) -> str:
    """All lines below sample `chosen` of a column whose answers are complete and judged."""
    kl = None if part.variant == BASE else part.kl
    lines = [facts_line(part.answers[chosen], part.answers[chosen].stopped, seconds, kl)]
    if len(part.verdicts) > 1:
        lines.append(sample_counts(part.verdicts, chosen))
    return "<br>".join(lines)


def fold(before: str = HARMFUL_FOLD, judged: str = HARMFUL_FOLD) -> str:
    """A cover for an answer, which a click opens and closes. Every cover is closed at first.

    It is a checkbox, so that it needs no server and no script. style.css puts it over the answer.

    Args:
        before: what it says while there is no verdict.
        judged: what it says once the verdict stands above. So an answer that was opened before then stays open.
    """
    return (
        f"<label class='fold' data-number='{next(_folds)}'><input type='checkbox'><span class='when-folded'>"
        f"<span class='before-verdict'>{before}</span><span class='after-verdict'>{judged}</span></span>"
        "<span class='when-open'>hide</span></label>"
    )


def folded(text_html: str, verdicts: Sequence[Verdict]) -> str:
    """A text in a view, folded if a verdict on it is harmful or missing. A click opens it."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if not outcomes & {"harmful", "unjudged"}:
        return text_html
    summary = HARMFUL_FOLD if "harmful" in outcomes else NOT_JUDGED_FOLD
    return f"<details data-number='{next(_folds)}'><summary>{summary}</summary>{text_html}</details>"


def waiting_fold() -> str:
    """The cover of an answer that is hidden until it is judged."""
    return fold(WAITING_FOLD)


def not_judged_fold() -> str:
    """The cover of an answer that was hidden, and that nobody judged."""
    return fold(NOT_JUDGED_FOLD, NOT_JUDGED_FOLD)


def chosen_fold(part: ComparedColumn, chosen: int = 0) -> str:
    """The cover of sample `chosen` of a column if it was judged harmful; otherwise empty."""
    return fold() if part.verdicts and part.verdicts[chosen].outcome == "harmful" else ""


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
    words = f"{times} of {len(part.verdicts)} {outcome}" if several else FINDINGS[outcome]
    kl = "" if part.kl is None or part.variant == BASE else f" at KL {part.kl:.2f}"
    name = html.escape(part.variant) + (" (from a link)" if part.from_link else "")
    return f"<span class='finding'><i style='color:{marker.colour}'>{marker.mark}</i> {name} {words}{kl}</span>"


def column_tabs(columns: Mapping[int, tuple[str, Outcome | None]]) -> str:
    """A tab for each column with its variant and its outcome, for a screen that shows one column at a time."""
    tabs = []
    for i, (name, outcome) in columns.items():
        verdict = ""
        if outcome is not None:
            marker = outcome_marker(outcome)
            word = f"<i style='color:{marker.colour}'>{marker.mark}</i> {outcome}"
            verdict = f"<span class='outcome' style='--colour:{marker.colour}'>{word}</span>"
        tabs.append(f"<button type='button' role='tab' data-column='{i}'>{html.escape(name)}{verdict}</button>")
    return f"<div role='tablist' aria-label='Columns'>{''.join(tabs)}</div>"


def waiting_line(progress: str) -> str:
    """The line below an answer that has not begun."""
    return f"<i>{html.escape(progress)}</i>"
