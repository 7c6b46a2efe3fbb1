"""About: what was done to the models, what was found, and who judges. The prose is in `assets/about.md`."""

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


def _results() -> str:
    try:
        return summary_table()
    except (ValueError, OSError):
        return "*No results are recorded here.*"


def _numbers() -> str:
    """Every utility of the trade-off, what it is and which way is better."""
    rows = (
        [found.label, found.unit or "none", found.meaning, "less" if found.better == "low" else "more"]
        for found in UTILITIES.values()
    )
    return markdown_table(["number", "unit", "what it is, and how it is measured", "better"], rows)


def _methods() -> str:
    """Every method, what it minimises and whose it is."""
    rows = (
        [method_marker(name).mark, f"{one.label} (`{name}`)", *method_cells(one), f"{one.paper}. {one.note}"]
        for name, one in METHODS.items()
    )
    return markdown_table(["", "method", "minimises", "vector is", "fidelity", "paper and note"], rows)


_TABLES: dict[str, Callable[[], str]] = {"results": _results, "numbers": _numbers, "methods": _methods}
"""What stands in the text where it says `<!-- name -->`."""


def _judges(cards: Sequence[JudgeCard]) -> None:
    with gr.Accordion("Every judge: how often it agrees with labels, and where it fails", open=False, elem_id="judges"):
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
        f"- agreement with labels, {one.what}: {percent_with_interval(one.accuracy, one.low, one.high)}"
        f" of {one.n} answers" + (f", AUC {one.auc:.2f}" if one.auc is not None else "")
        for one in card.agreement
    ] or ["- agreement with labels was not measured here"]
    return "\n".join(lines + [f"- known to fail: {failure}" for failure in card.failures])
