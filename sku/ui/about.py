"""About: what was done to the models and by whom answers are judged. The prose is in `assets/about.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import gradio as gr

from sku.core.methods import METHODS
from sku.core.storage import ASSETS
from sku.judges.protocol import JudgeCard
from sku.reporting.judge_agreement import judge_agreement_figure
from sku.reporting.markers import method_marker
from sku.reporting.text import percent
from sku.reporting.utilities import UTILITIES

_TEXT, _DIAGRAM = ASSETS / "about.md", ASSETS / "stages.svg"


def build_about(cards: Sequence[JudgeCard] = ()) -> None:
    """Lay the tab out.

    Args:
        cards: of the judges, the one in use first.
    """
    gr.HTML(diagram_html(), elem_classes="stages", padding=False)
    for i, part in enumerate(re.split(r"<!-- (\w+) -->", _TEXT.read_text(encoding="utf-8"))):
        if i % 2 == 0:
            gr.Markdown(part.strip())
        elif part == "judges":
            _judges(cards)
        else:
            gr.Markdown(_TABLES[part](), elem_id=part)


def diagram_html() -> str:
    """The two stages, as SVG."""
    return _DIAGRAM.read_text(encoding="utf-8")


def _numbers() -> str:
    """Every utility of the trade-off, what it is and which way is better."""
    rows = ["| number | unit | what it is, and how it is measured | better |", "|---|---|---|---|"]
    for found in UTILITIES.values():
        better = "less" if found.better == "low" else "more"
        rows.append(f"| {found.label} | {found.unit or 'none'} | {found.meaning} | {better} |")
    return "\n".join(rows)


def _methods() -> str:
    """Every method, what it minimises and whose it is."""
    rows = ["| | method | minimises | vector is | fidelity | paper and note |", "|---|---|---|---|---|---|"]
    for name, method in METHODS.items():
        terms = ", ".join(f"{weight:g} {term}" for term, weight in method.terms.items()) or "none"
        way = "subtracted" if method.negated else "added"
        rows.append(
            f"| {method_marker(name).mark} | {method.label} (`{name}`) | {terms} | {way} "
            f"| {method.fidelity} | {method.paper}. {method.note} |"
        )
    return "\n".join(rows)


_TABLES = {"numbers": _numbers, "methods": _methods}
"""What stands in the text where it says `<!-- name -->`."""


def _judges(cards: Sequence[JudgeCard]) -> None:
    if any(card.agreement for card in cards):
        gr.Plot(judge_agreement_figure(cards), show_label=False, elem_id="judge-card", buttons=[])
    gr.Markdown("\n\n".join(card_text(card) for card in cards), elem_id="judge-cards")


def card_text(card: JudgeCard) -> str:
    """A judge's card as Markdown."""
    lines = [
        f"**{card.id}** ({card.kind}, {card.licence}): harmful from a score of {card.threshold:g}. {card.note}",
        "",
    ]
    lines += [
        f"- agreement with labels, {one.what}: {percent(one.accuracy)} "
        f"({100 * one.low:.0f} to {100 * one.high:.0f}) of {one.n} answers"
        + (f", AUC {one.auc:.2f}" if one.auc is not None else "")
        for one in card.agreement
    ] or ["- agreement with labels was not measured here"]
    return "\n".join(lines + [f"- known to fail: {failure}" for failure in card.failures])
