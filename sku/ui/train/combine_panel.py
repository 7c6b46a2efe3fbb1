"""The panel of Pipeline that combines runs into a new run. Every vector has a slider for its coefficient, so adapters
that were trained on one category each become one slider per category."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.combining import OPERATIONS, CombineConfig
from sku.core.variants import BASE, REMOTE, parse_variant
from sku.serving.training_jobs import TrainingJobs
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare.column import variant_options
from sku.ui.compare.column_variant import typed_variant
from sku.ui.events import AT_ONCE, QUIET, Updates, Values, chosen_texts
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import checked_coefficient
from sku.ui.job_panel import REFUSED
from sku.ui.messages import refusal
from sku.ui.tab_context import TabContext

MAX_VECTORS = 6
"""The most vectors that the panel combines."""


@dataclass(frozen=True)
class CombineComponents:
    """The components of the panel."""

    operation: gr.Dropdown
    names: gr.Dropdown
    """The chosen adapters, in the order in which they were chosen."""
    coefficients: tuple[gr.Slider, ...]
    """One for each possible vector; those without a vector are hidden."""
    rank: gr.Number
    meaning: gr.HTML
    start: gr.Button
    shown: gr.State
    """The names that the sliders belong to."""

    @property
    def order(self) -> set[gr.components.Component]:
        """The components that say what to combine."""
        return {self.operation, self.names, self.rank, self.shown, *self.coefficients}


def build_combine(context: TabContext, tab: gr.Tab, run: gr.Textbox) -> None:
    """Lay out the panel and wire it.

    Args:
        context: the page.
        tab: the list of adapters is renewed when this tab is opened.
        run: the name of the chosen run; the new run is chosen.
    """
    parts = lay_out_combine()
    handlers = CombineHandlers(parts, context.access, context.trainings)
    tab.select(handlers.refresh_names, None, parts.names, **QUIET)
    sliders = {parts.shown, *parts.coefficients}
    explain: dict[str, Any] = {"fn": handlers.explain, "inputs": parts.order, "outputs": parts.meaning, **AT_ONCE}
    parts.names.change(handlers.show_sliders, {parts.names, parts.shown}, sliders, **AT_ONCE).then(**explain)
    gr.on([parts.operation.change, *(slider.release for slider in parts.coefficients)], **explain)
    parts.start.click(handlers.start, parts.order, run, **QUIET)


def lay_out_combine() -> CombineComponents:
    """Lay out the panel."""
    with gr.Accordion("Combine runs: arithmetic on their task vectors", open=False, elem_id="combine"):
        with gr.Row():
            options = [(operation.label, name) for name, operation in OPERATIONS.items()]
            operation = gr.Dropdown(options, value="sum", label="Operation", elem_id="combine-operation", scale=1)
            names = gr.Dropdown(
                [],
                multiselect=True,
                max_choices=MAX_VECTORS,
                label="Vectors",
                info="In this order. Each counts with the sign with which it is served.",
                elem_id="combine-names",
                scale=3,
            )
            info = "0 uses the sum of the vectors' ranks"
            rank = gr.Number(0, precision=0, minimum=0, maximum=1024, label="Rank", info=info, scale=1)
        with gr.Row():
            coefficients = tuple(
                gr.Slider(0, 5, 1, step=0.05, visible=False, min_width=200, elem_id=f"combine-coefficient-{i}")
                for i in range(MAX_VECTORS)
            )
        meaning = gr.HTML(_meaning("sum", []), elem_id="combine-meaning", elem_classes="facts")
        start = gr.Button("Combine", elem_id="combine-start", scale=0, min_width=120)
    return CombineComponents(operation, names, coefficients, rank, meaning, start, gr.State([]))


class CombineHandlers:
    """Handlers that show the sliders and start the work."""

    def __init__(self, components: CombineComponents, access: Access, trainings: TrainingJobs) -> None:
        self.components, self.access, self.trainings = components, access, trainings

    def refresh_names(self, request: gr.Request) -> gr.Dropdown:
        """Update the list of adapters, so that it contains new runs."""
        return gr.Dropdown(choices=variant_options(self._adapters(request)))

    def show_sliders(self, request: gr.Request, values: Values) -> Updates:
        """Show one slider for each chosen adapter. A slider that gets another adapter starts at its default."""
        parts, names = self.components, chosen_texts(values[self.components.names])[:MAX_VECTORS]
        defaults = {entry.name: entry.default_coefficient for entry in self._adapters(request)}
        updates: Updates = {parts.shown: names}
        for i, slider in enumerate(parts.coefficients):
            if i >= len(names):
                updates[slider] = gr.Slider(visible=False)
            elif names[i] in values[parts.shown][i : i + 1]:
                updates[slider] = gr.Slider(visible=True)
            else:
                updates[slider] = gr.Slider(value=defaults.get(names[i], 1.0), label=names[i], visible=True)
        return updates

    def explain(self, values: Values) -> str:
        """What will be computed."""
        return _meaning(values[self.components.operation], self._typed(values))

    def start(self, request: gr.Request, values: Values) -> str:
        """Combine the chosen adapters, and return the name of the new run."""
        gate, visitor = self.access.gate, self.access.visitor(request)
        rank = int(values[self.components.rank] or 0) or None
        try:
            entries = self.access.entries(request)
            variants = [typed_variant(text, entries, gate) for text in self._typed(values)]
            if not variants:
                raise ValueError("no vector is chosen; choose at least one")
            config = CombineConfig(str(values[self.components.operation]), tuple(variants), rank=rank)
            self.trainings.refuse_second(gate.owner(visitor))  # first: a refusal must not count
            gate.training(visitor)
            return self.trainings.combine(config, visitor.owner).name
        except REFUSED as error:
            raise refusal(error, "Not combined") from error

    def _adapters(self, request: gr.Request) -> list[CatalogEntry]:
        return [entry for entry in self.access.entries(request) if entry.name != BASE and entry.method != REMOTE]

    def _typed(self, values: Values) -> list[str]:
        """The chosen variants with their coefficients."""
        parts, names = self.components, chosen_texts(values[self.components.names])[:MAX_VECTORS]
        return [_at(name, values[slider]) for name, slider in zip(names, parts.coefficients, strict=False)]


def _at(name: str, coefficient: Any) -> str:
    """The adapter at a coefficient.

    Raises:
        ValueError: if the name or the coefficient is not valid.
    """
    spec = parse_variant(str(name))
    if spec.only_part is None or spec.only_part.coefficient is not None:
        raise ValueError(f"{str(name)[:80]!r} is not one adapter without a coefficient; choose one of the list")
    return f"{spec}@{checked_coefficient(coefficient):g}"


def _meaning(operation: Any, variants: Sequence[str]) -> str:
    """One line: what the operation computes, with the chosen vectors; for a sum, how to try it without a run."""
    known = OPERATIONS.get(str(operation))
    if known is None:
        return ""
    text = f"{known.label}: {html.escape(known.meaning)} ({known.paper})."
    named = ", ".join(f"v{i} = <code>{html.escape(variant)}</code>" for i, variant in enumerate(variants, start=1))
    if named:
        text += f" {named}."
    if operation == "sum" and len(variants) > 1:
        text += (
            f" Compare answers this sum without a new run: type <code>{html.escape('+'.join(variants))}</code> there."
        )
    return text
