"""What follows from the answers that columns of Compare show: other views, samples to pick, where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from sku.core.variants import BASE
from sku.ui.compare import badges, diff_and_lens, rate_scale
from sku.ui.compare.ask_handlers import MAX_COLUMNS, Controls, ShownAnswers
from sku.ui.hosting.rate_limit import RateLimited

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens

ANSWER, DIFFERENCE, LENS = VIEWS = ("answer", "difference", "token lens")
TYPED = "typed below"


LensOf = Callable[[str, str], "TokenLens"]
"""From prompt and answer to what the shown columns make of it; raises ValueError, OSError or RateLimited."""


def view_updates(lens: LensOf, shown: ShownAnswers, asked: Controls, kind: str, source: str, typed: str) -> list[Any]:
    """Updates of the six views."""
    if kind not in (DIFFERENCE, LENS):
        return [gr.HTML(visible=False)] * MAX_COLUMNS
    columns = [i for i in asked.shown() if i in shown.parts]
    text = dict.fromkeys(range(MAX_COLUMNS), "<p class='empty'>Ask first.</p>")
    if kind == DIFFERENCE:
        base = shown.base_text(asked.shown())
        for i in columns:
            mine = shown.parts[i].answers[0].text
            missing = "<p class='empty'>No base column: show base to see what differs.</p>"
            text[i] = missing if base is None else diff_and_lens.difference_html(base, mine)
    elif columns or typed:
        text |= _under_lens(lens, shown, asked, source, typed)
    return [gr.HTML(text[i], visible=True) for i in range(MAX_COLUMNS)]


def _under_lens(lens: LensOf, shown: ShownAnswers, asked: Controls, source: str, typed: str) -> dict[int, str]:
    answers = {f"column {i + 1}": part.answers[0].text for i, part in shown.parts.items()}
    given = typed if source == TYPED else answers.get(source, "")
    names = {i: asked.variant(i) for i in asked.shown()}
    try:
        found = lens(shown.prompt, given)
    except (ValueError, OSError, RateLimited) as error:
        return dict.fromkeys(names, f"<p class='empty'>{diff_and_lens.escape_text(str(error))}</p>")
    return {
        i: diff_and_lens.base_lens_html(found) if name == BASE else diff_and_lens.change_lens_html(found, name)
        for i, name in names.items()
    }


def sample_choices(shown: ShownAnswers, i: int) -> Any:
    """An update of column `i`'s list of samples."""
    part = shown.parts.get(i)
    count = len(part.answers) if part else 0
    return gr.Radio(choices=[(str(k + 1), k) for k in range(count)], value=0, visible=count > 1)


def sample_handler(i: int) -> Callable[..., list[Any]]:
    """A handler that shows the chosen sample in column `i`."""

    def choose(shown: ShownAnswers, place: Any) -> list[Any]:
        part = shown.parts.get(i)
        if part is None or not isinstance(place, int) or not 0 <= place < len(part.answers):
            return [gr.skip(), gr.skip()]
        seconds = shown.seconds.get(i, 0.0) if place == 0 else 0.0  # known of the first one alone
        return [part.answers[place].text, badges.judged_lines(part, seconds, place)]

    return choose


def rate_scale_update(count: Any, *values: Any) -> str:
    """Where the shown columns stand on the recorded harmful rates."""
    asked = Controls.of("", 1, 0, 0, 1, count, *values)
    try:
        return rate_scale.rate_scale_html([asked.variant(i) for i in asked.shown()])
    except ValueError:
        return ""
