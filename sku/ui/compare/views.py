"""Other views of the answers in Compare: the difference from the base, the token lens, and the other samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sku.core.attacks import WITHOUT_ATTACK
from sku.core.records import Verdict
from sku.core.variants import BASE, parse_variant
from sku.ui.compare import badges, diff_and_lens
from sku.ui.compare.answer_text import above_answer_html, answer_box_text
from sku.ui.compare.asking import ColumnUpdate
from sku.ui.compare.controls import MAX_COLUMNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.hosting.rate_limit import RateLimited

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens

ANSWER, DIFFERENCE, LENS = VIEWS = ("answer", "difference", "token lens")
TYPED = "typed below"
"""The option that puts an answer that the visitor typed under the lens."""

LensOf = Callable[[str, str], "tuple[TokenLens, dict[int, str]]"]
"""Takes a prompt and an answer; returns the lens and the variant of each column.

It raises ValueError, OSError or RateLimited.
"""
VerdictOf = Callable[[str, str], Verdict]
"""Takes a prompt and an answer; returns the judge's verdict, `unjudged` if it could not judge."""


@dataclass(frozen=True)
class ViewChoice:
    """The chosen view, and the answer under the lens."""

    kind: str
    lens_source: str
    """`column 1`, `column 2` and so on, or `TYPED`."""
    lens_text: str


def column_name(i: int) -> str:
    """The name of column `i` in a list on the page."""
    return f"column {i + 1}"


@dataclass(frozen=True)
class _LensText:
    """The text under the lens."""

    text: str
    source: str
    """Where it comes from, for people."""
    verdict: Verdict | None
    """None if it is still to be judged."""


def view_texts(
    shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf, verdict_of: VerdictOf
) -> dict[int, str]:
    """The HTML that covers the answer of each column; empty if the view is the answers themselves."""
    texts = dict.fromkeys(range(MAX_COLUMNS), _notice("Ask a question first."))
    columns = [i for i in visible if i in shown.columns]
    if choice.kind == DIFFERENCE:
        return texts | {i: _difference(shown, visible, i) for i in columns}
    if choice.kind != LENS:
        return {}
    return texts | _under_lens(shown, visible, choice, lens, verdict_of) if columns or choice.lens_text else texts


def _difference(shown: ShownAnswers, visible: range, i: int) -> str:
    base = shown.base_column(visible)
    if base is None:
        return _notice("No column shows the base's answer. Put the base into a column and ask it.")
    if not shown.answers_prompt(i):
        return _notice("This column answers another question, or under another attack. Ask all columns again.")
    column = shown.columns[i]
    difference = diff_and_lens.difference_html(base.answers[0].text, column.answers[0].text)
    return badges.folded(difference, [*base.verdicts[:1], *column.verdicts[:1]])


def _under_lens(
    shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf, verdict_of: VerdictOf
) -> dict[int, str]:
    if shown.settings.attack != WITHOUT_ATTACK:  # the lens would score a text that it has not seen the beginning of
        return dict.fromkeys(visible, _notice("The token lens works without attack. Choose no attack and ask again."))
    given = _lens_text(shown, choice)
    try:
        token_lens, variants = lens(shown.prompt, given.text)
    except (ValueError, OSError, RateLimited) as error:
        return dict.fromkeys(visible, _notice(str(error)))
    verdict = given.verdict or verdict_of(shown.prompt, given.text)
    above = f"<p class='source'>Text: {diff_and_lens.escape_text(given.source)}</p>{badges.pill(verdict)}"
    return {i: above + badges.folded(_lens_html(token_lens, name), [verdict]) for i, name in variants.items()}


def _lens_text(shown: ShownAnswers, choice: ViewChoice) -> _LensText:
    """The chosen text, with its verdict if it is an answer that was judged."""
    if choice.lens_source == TYPED:
        return _LensText(choice.lens_text, "typed by you", None)
    column = next((c for i, c in shown.columns.items() if column_name(i) == choice.lens_source), None)
    if column is None:
        return _LensText("", choice.lens_source, None)
    origin = ", from a link" if column.from_link else ""
    verdict = column.verdicts[0] if column.verdicts else None
    return _LensText(column.answers[0].text, f"answer of {choice.lens_source}, {column.variant}{origin}", verdict)


def _lens_html(token_lens: TokenLens, name: str) -> str:
    if parse_variant(name).server is not None:
        return _notice("This model is behind a server, which does not say how likely a given answer is.")
    if name == BASE:
        return diff_and_lens.base_lens_html(token_lens)
    return diff_and_lens.change_lens_html(token_lens, name)


def _notice(text: str) -> str:
    return f"<p class='empty'>{diff_and_lens.escape_text(text)}</p>"


def sample_count(shown: ShownAnswers, i: int) -> int:
    """The number of samples in column `i`."""
    return len(shown.columns[i].answers) if i in shown.columns else 0


def sample_update(shown: ShownAnswers, i: int, sample: Any) -> ColumnUpdate:
    """The update that shows another sample in column `i`. It changes nothing if there is no such sample."""
    if not isinstance(sample, int) or not 0 <= sample < sample_count(shown, i):
        return ColumnUpdate()
    column = shown.columns[i]
    seconds = shown.seconds.get(i, 0.0) if sample == 0 else 0.0  # only the first sample was timed
    answer = column.answers[sample]
    facts = badges.judged_lines(column, seconds, sample)
    pill = badges.chosen_pill(column, sample)
    fold = badges.chosen_fold(column, sample)
    return ColumnUpdate(answer_box_text(answer), facts, above_answer_html(answer, column.earlier), pill, fold)
