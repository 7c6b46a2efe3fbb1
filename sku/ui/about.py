"""About: what was done to the models and by whom answers are judged. The prose is in `assets/about.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from sku.figures import judge_card
from sku.figures.words import percent
from sku.judging.protocol import Card
from sku.methods import METHODS
from sku.signs import sign

_TEXT = Path(__file__).parents[2] / "assets" / "about.md"


def build(cards: Sequence[Card] = ()) -> None:
    """Lay the tab out.

    Args:
        cards: of the judges, the one in use first.
    """
    gr.Markdown(_TEXT.read_text(encoding="utf-8"))
    rows = ["| | method | minimises | vector is | fidelity | paper and note |", "|---|---|---|---|---|---|"]
    for name, method in METHODS.items():
        terms = ", ".join(f"{weight:g} {term}" for term, weight in method.terms.items()) or "none"
        way = "subtracted" if method.negated else "added"
        rows.append(
            f"| {sign(name).mark} | {method.label} (`{name}`) | {terms} | {way} "
            f"| {method.fidelity} | {method.paper}. {method.note} |"
        )
    gr.Markdown("## Methods\n\n" + "\n".join(rows), elem_id="methods")
    if cards:
        gr.Markdown("## Judges", elem_id="judges")
        if any(card.agreement for card in cards):
            gr.Plot(judge_card(cards), show_label=False, elem_id="judge-card", buttons=[])
        gr.Markdown("\n\n".join(card_text(card) for card in cards), elem_id="judge-cards")


def card_text(card: Card) -> str:
    """A judge's card as Markdown."""
    lines = [
        f"**{card.id}** ({card.kind}, {card.licence}): harmful from a score of {card.threshold:g}. {card.note}",
        "",
    ]
    lines += [
        f"- agrees with people on {one.what}: {percent(one.accuracy)} "
        f"({100 * one.low:.0f} to {100 * one.high:.0f}) of {one.n} answers"
        + (f", AUC {one.auc:.2f}" if one.auc is not None else "")
        for one in card.agreement
    ] or ["- agreement with people was not measured here"]
    return "\n".join(lines + [f"- known to fail: {failure}" for failure in card.failures])
