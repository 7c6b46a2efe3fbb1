"""The About tab: what is done to the models, what the study found, and which judges are used.

The prose is in `assets/about.md`, where `<!-- fold open: TITLE -->` begins a part that can be folded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import gradio as gr

from sku.core.methods import METHODS
from sku.core.storage import ASSETS
from sku.judges.protocol import JudgeCard
from sku.reporting.formatting import percent_with_interval
from sku.reporting.judge_agreement import judge_agreement_figure
from sku.reporting.markdown_tables import markdown_table, method_cells, summary_table
from sku.reporting.markers import method_marker
from sku.reporting.utilities import UTILITIES

_TEXT, _DIAGRAM = ASSETS / "about.md", ASSETS / "stages.svg"


def build_about(cards: Sequence[JudgeCard] = ()) -> None:
    """Lay out the tab.

    Args:
        cards: the judges' cards; the judge in use comes first.
    """
    head, *folds = re.split(r"<!-- fold (open|closed): (.+) -->", _TEXT.read_text(encoding="utf-8"))
    findings, rest = head.split("<!-- diagram -->")
    with gr.Row(elem_id="about-top"):
        gr.Markdown(findings.strip(), elem_classes="about-text", elem_id="findings")
        gr.HTML(diagram_html(), elem_classes="stages", padding=False)
    _add_parts(rest, cards)
    for state, title, text in zip(folds[::3], folds[1::3], folds[2::3], strict=True):
        with gr.Accordion(title, open=state == "open", elem_classes="about-fold"):
            _add_parts(text, cards)


def _add_parts(text: str, cards: Sequence[JudgeCard]) -> None:
    """Show a text of `assets/about.md`, in which `<!-- NAME -->` stands for a table or the judges."""
    for i, part in enumerate(re.split(r"<!-- (\w+) -->", text)):
        if i % 2 == 0:
            gr.Markdown(part.strip(), elem_classes="about-text")
        elif part == "judges":
            _judges(cards)
        else:
            gr.Markdown(_TABLES[part](), elem_id=part)


def diagram_html() -> str:
    """A diagram of the two stages, as SVG."""
    return _DIAGRAM.read_text(encoding="utf-8")


def _results() -> str:
    try:
        return summary_table()
    except (ValueError, OSError):
        return "*There are no recorded results in this installation.*"


def _numbers() -> str:
    """A table of all utilities: what each one measures, and which direction is better."""
    rows = (
        [utility.label, utility.unit or "none", utility.meaning, "lower" if utility.better == "low" else "higher"]
        for utility in UTILITIES.values()
    )
    return markdown_table(["utility", "unit", "what it measures", "better"], rows)


def _methods() -> str:
    """A table of all methods: what each one minimises, and which paper it comes from."""
    rows = (
        [
            method_marker(name).mark,
            f"{method.label} (`{name}`)",
            *method_cells(method),
            f"{method.paper}. {method.note}",
        ]
        for name, method in METHODS.items()
    )
    return markdown_table(["", "method", "minimises", "vector is", "fidelity", "paper and note"], rows)


_TABLES: dict[str, Callable[[], str]] = {"results": _results, "numbers": _numbers, "methods": _methods}
"""The tables that replace `<!-- name -->` in the text."""


def _judges(cards: Sequence[JudgeCard]) -> None:
    """The measured judges, open; the others, folded."""
    measured = [card for card in cards if card.agreement]
    others = [card for card in cards if not card.agreement]
    if measured:
        with gr.Accordion("How often each judge agrees with labels, and where it fails", elem_id="judges"):
            gr.Plot(judge_agreement_figure(measured), show_label=False, elem_id="judge-card", buttons=[])
            gr.Markdown("\n\n".join(map(card_text, measured)), elem_id="judge-cards", elem_classes="about-text")
    if others:
        with gr.Accordion("Judges that were not measured here", open=False, elem_id="other-judges"):
            gr.Markdown("\n\n".join(map(card_text, others)), elem_id="other-judge-cards", elem_classes="about-text")


def card_text(card: JudgeCard) -> str:
    """A judge's card as Markdown."""
    lines = [
        f"**{card.id}** ({card.kind}, {card.licence}): calls an answer harmful from a score of {card.threshold:g}. "
        f"{card.note}",
        "",
    ]
    lines += [
        f"- agreement with labels, {each.what}: {percent_with_interval(each.accuracy, each.low, each.high)}"
        f" of {each.n} answers" + (f", AUC {each.auc:.2f}" if each.auc is not None else "")
        for each in card.agreement
    ] or ["- agreement with labels was not measured here"]
    return "\n".join(lines + [f"- known to fail: {failure}" for failure in card.failures])
