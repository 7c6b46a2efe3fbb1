"""Other views of the answers in Compare: the difference from the base, the token lens, and the other samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sku.core.attacks import WITHOUT_ATTACK
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


def view_texts(shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf) -> dict[int, str]:
    """The HTML that covers the answer of each column; empty if the view is the answers themselves."""
    texts = dict.fromkeys(range(MAX_COLUMNS), _notice("Ask a question first."))
    columns = [i for i in visible if i in shown.columns]
    if choice.kind == DIFFERENCE:
        return texts | {i: _difference(shown, visible, i) for i in columns}
    if choice.kind != LENS:
        return {}
    return texts | _under_lens(shown, visible, choice, lens) if columns or choice.lens_text else texts


def _difference(shown: ShownAnswers, visible: range, i: int) -> str:
    base = shown.base_text(visible)
    if base is None:
        return _notice("No column shows the base's answer. Put the base into a column and ask it.")
    if not shown.answers_prompt(i):
        return _notice("This column answers another prompt, or under another attack. Ask all columns again.")
    return diff_and_lens.difference_html(base, shown.columns[i].answers[0].text)


def _under_lens(shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf) -> dict[int, str]:
    if shown.settings.attack != WITHOUT_ATTACK:  # the lens would score a text that it has not seen the beginning of
        return dict.fromkeys(visible, _notice("The token lens works without attack. Choose no attack and ask again."))
    answers = {column_name(i): column.answers[0].text for i, column in shown.columns.items()}
    answer = choice.lens_text if choice.lens_source == TYPED else answers.get(choice.lens_source, "")
    try:
        token_lens, variants = lens(shown.prompt, answer)
    except (ValueError, OSError, RateLimited) as error:
        return dict.fromkeys(visible, _notice(str(error)))
    return {i: _lens_html(token_lens, name) for i, name in variants.items()}


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
    return ColumnUpdate(answer_box_text(answer), facts, above_answer_html(answer), pill)
