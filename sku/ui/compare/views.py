"""What else Compare shows of its answers: the difference from base, the token lens, and each of several samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sku.core.variants import BASE
from sku.ui.compare import badges, diff_and_lens
from sku.ui.compare.asking import ColumnUpdate
from sku.ui.compare.controls import MAX_COLUMNS
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.hosting.rate_limit import RateLimited

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens

ANSWER, DIFFERENCE, LENS = VIEWS = ("answer", "difference", "token lens")
TYPED = "typed below"
"""The lens lies over an answer that the visitor typed."""

LensOf = Callable[[str, str], "tuple[TokenLens, dict[int, str]]"]
"""From prompt and answer to the lens and the variant of each column; raises ValueError, OSError or RateLimited."""


@dataclass(frozen=True)
class ViewChoice:
    """Which view is chosen, and what lies under the lens."""

    kind: str
    lens_source: str
    """`column 1` and so on, or `TYPED`."""
    lens_text: str


def column_name(i: int) -> str:
    """Column `i` in a list on the screen."""
    return f"column {i + 1}"


def view_texts(shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf) -> dict[int, str]:
    """HTML that lies over the answer of each column; empty while the answers themselves are shown."""
    texts = dict.fromkeys(range(MAX_COLUMNS), "<p class='empty'>Ask first.</p>")
    columns = [i for i in visible if i in shown.columns]
    if choice.kind == DIFFERENCE:
        return texts | {i: _difference(shown, visible, i) for i in columns}
    if choice.kind != LENS:
        return {}
    return texts | _under_lens(shown, visible, choice, lens) if columns or choice.lens_text else texts


def _difference(shown: ShownAnswers, visible: range, i: int) -> str:
    base = shown.base_text(visible)
    if base is None:
        return "<p class='empty'>No base column: show base to see what differs.</p>"
    return diff_and_lens.difference_html(base, shown.columns[i].answers[0].text)


def _under_lens(shown: ShownAnswers, visible: range, choice: ViewChoice, lens: LensOf) -> dict[int, str]:
    answers = {column_name(i): column.answers[0].text for i, column in shown.columns.items()}
    given = choice.lens_text if choice.lens_source == TYPED else answers.get(choice.lens_source, "")
    try:
        found, variants = lens(shown.prompt, given)
    except (ValueError, OSError, RateLimited) as error:
        return dict.fromkeys(visible, f"<p class='empty'>{diff_and_lens.escape_text(str(error))}</p>")
    return {
        i: diff_and_lens.base_lens_html(found) if name == BASE else diff_and_lens.change_lens_html(found, name)
        for i, name in variants.items()
    }


def sample_count(shown: ShownAnswers, i: int) -> int:
    """How many samples column `i` shows."""
    return len(shown.columns[i].answers) if i in shown.columns else 0


def sample_update(shown: ShownAnswers, i: int, sample: Any) -> ColumnUpdate:
    """Column `i` with another of its samples; nothing changes where there is no such sample."""
    if not isinstance(sample, int) or not 0 <= sample < sample_count(shown, i):
        return ColumnUpdate()
    column = shown.columns[i]
    seconds = shown.seconds.get(i, 0.0) if sample == 0 else 0.0  # only the first one was timed
    return ColumnUpdate(column.answers[sample].text, badges.judged_lines(column, seconds, sample))
