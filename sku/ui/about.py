"""About: what was done to the models, method by method. The prose is in `assets/about.md`."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from sku.methods import METHODS
from sku.signs import sign

_TEXT = Path(__file__).parents[2] / "assets" / "about.md"


def build() -> None:
    """Lay the tab out."""
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
