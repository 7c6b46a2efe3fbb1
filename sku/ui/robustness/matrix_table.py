"""The matrix variant x attack as an HTML table whose cells can be clicked, and the sentence above it.

All foreign text in it is escaped: variants are named by whoever trained them.
"""

from __future__ import annotations

import html
from collections.abc import Collection

import gradio as gr

from sku.core.attacks import ANY_ATTACK, ATTACKS, attack_label
from sku.core.methods import METHODS
from sku.core.records import ResultRow
from sku.core.variants import BASE, parse_variant
from sku.reporting.formatting import UNKNOWN, percent_range
from sku.reporting.markers import method_marker, outcome_marker
from sku.reporting.recovery_sentence import RecoveryFinding, finding_text, recovery_words
from sku.reporting.robustness_matrix import MatrixCell, RobustnessMatrix, short_texts, variant_label

OFF_TOPIC_SIGN, RECOVERY_SIGN = outcome_marker("off-topic").mark, "↩"
_HARMFUL, _BROKEN = outcome_marker("harmful").mark, outcome_marker("broken").mark
_ON_LOAD = """
element.addEventListener('click', (event) => {
  const cell = event.target.closest('button[data-variant]');
  if (cell) { trigger('cell_click', {variant: cell.dataset.variant, attack: cell.dataset.attack}); }
});
"""
LEGEND = (
    f"<p>{_HARMFUL} harmful rate; the bar shows it with its 95 % interval. {RECOVERY_SIGN} recovery: the share of the "
    f"forgetting that the attack undoes. {_BROKEN} broken and {OFF_TOPIC_SIGN} off-topic answers are counted apart, "
    f"because they are neither harmful nor a success. Rest on a cell for all of its numbers, refused harmless prompts "
    "among them. A dash: not measured, or too little to compare. Click a cell to "
    "open its variant in Compare.</p>"
)


def clickable_table(elem_id: str) -> gr.HTML:
    """A component for `matrix_html`. Its event `cell_click` names the variant and the attack of a cell."""
    return gr.HTML("", js_on_load=_ON_LOAD, elem_id=elem_id, padding=False)


def clicked_cell(event: gr.EventData) -> tuple[str | None, str | None]:
    """The variant and the attack of the clicked cell, as the browser sent them. The caller must check them."""
    variant, attack = getattr(event, "variant", None), getattr(event, "attack", None)
    return _short_text(variant), _short_text(attack)


def _short_text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def matrix_html(matrix: RobustnessMatrix, openable: Collection[str]) -> str:
    """The table; empty if there are no cells.

    Args:
        matrix: what is shown.
        openable: the names of adapters on this machine. A variant of other adapters cannot be opened in Compare.
    """
    if not matrix.cells:
        return ""
    heads = "".join(f"<th scope='col'>{_attack_head(name)}</th>" for name in matrix.attacks)
    lines = "".join(_line(matrix, variant, row, openable) for variant, row in matrix.variants.items())
    caption = "Harmful rate of every variant under every attack"
    return (
        f"<div class='matrix' tabindex='0' role='region' aria-label='{caption}'><table><caption>{caption}</caption>"
        f"<thead><tr><th scope='col'>variant</th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def sentence_html(finding: RecoveryFinding | None, more: str = "") -> str:
    """The finding in a sentence, each number with its interval on hover or focus, and `more`; empty if there is none.

    Args:
        finding: what an attack brings back.
        more: a further sentence, escaped.
    """
    sentences = [finding_text(finding, _number, html.escape) if finding else "", more]
    return f"<p>{' '.join(filter(None, sentences))}</p>" if any(sentences) else ""


def _number(cell: MatrixCell) -> str:
    interval = percent_range(*cell.recovery[1:])
    title = f"95 % interval {interval} %, on {cell.row.n} answers" if interval else f"on {cell.row.n} answers"
    return f"<abbr tabindex='0' title='{title}'>{recovery_words(cell)}</abbr>"


def _attack_head(name: str) -> str:
    meaning = ATTACKS[name].meaning if name in ATTACKS else ""
    if name == ANY_ATTACK:
        meaning = "A prompt counts as harmful if an answer to it is harmful under any attack."
    title = html.escape(meaning, quote=True)
    return f"<abbr tabindex='0' title='{title}'>{html.escape(attack_label(name))}</abbr>"


def _line(matrix: RobustnessMatrix, variant: str, row: ResultRow, openable: Collection[str]) -> str:
    can_open = set(parse_variant(variant).names) <= set(openable)
    cells = "".join(_cell(matrix.cells.get((variant, attack)), attack, can_open) for attack in matrix.attacks)
    marker = method_marker(None if row.method == BASE else row.method, row.preservation)
    method = METHODS[row.method].label if row.method in METHODS else row.method
    mark = f"<span style='color:{marker.colour}' aria-hidden='true'>{marker.mark}</span>"
    label = html.escape(variant_label(row))
    return f"<tr><th scope='row' title='{html.escape(method, quote=True)}'>{mark} {label}</th>{cells}</tr>"


def _cell(cell: MatrixCell | None, attack: str, can_open: bool) -> str:
    if cell is None:
        return f"<td><span class='cell' title='not measured'>{UNKNOWN}</span></td>"
    said = html.escape("; ".join(cell.lines()), quote=True)
    inside = _cell_inside(cell)
    if not can_open:
        return f"<td style='{_shares(cell)}'><span class='cell' title='{said}'>{inside}</span></td>"
    variant = html.escape(cell.row.variant, quote=True)
    return (
        f"<td style='{_shares(cell)}'><button class='cell' type='button' title='{said}' aria-label='{said}. Open in "
        f"Compare' data-variant='{variant}' data-attack='{html.escape(attack, quote=True)}'>{inside}</button></td>"
    )


def _cell_inside(cell: MatrixCell) -> str:
    rate, interval, recovery = short_texts(cell)
    if cell.harmful.rate is None:
        return f"<small>{html.escape(rate)}</small>"
    row = cell.row
    apart = [f"{_BROKEN} {row.broken}"] if row.broken else []
    apart += [f"{OFF_TOPIC_SIGN} {row.off_topic}"] if row.off_topic else []
    parts = [
        f"<b>{_HARMFUL} {rate}</b>",
        f"<small>{interval or '&nbsp;'}</small>",
        "<i class='bar'></i>",
        f"<small>{RECOVERY_SIGN} {recovery}</small>" if recovery else "",
        f"<small>{' '.join(apart)}</small>" if apart else "",
    ]
    return "".join(parts)


def _shares(cell: MatrixCell) -> str:
    """The rate and its interval, from which the style sheet draws the bar and the shade."""
    rate, low, high = cell.harmful
    return "" if rate is None else f"--rate:{rate:.3f};--low:{low or 0:.3f};--high:{rate if high is None else high:.3f}"
