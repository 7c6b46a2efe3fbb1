"""The panel of Trade-off that measures variants. It shows the cost first, and continues while the page is closed."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.variants import BASE, parse_variant
from sku.serving.evaluation_jobs import EVALUATION_NEW_TOKENS, PROMPT_LIMITS, EvaluationJob, EvaluationJobs
from sku.ui.compare.column import variant_options
from sku.ui.compare.column_variant import typed_variant
from sku.ui.events import AT_ONCE, QUIET, Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import checked_coefficient
from sku.ui.job_panel import REFUSED, JobButtons
from sku.ui.messages import refusal
from sku.ui.tab_context import TabContext
from sku.ui.train.run_status import duration


@dataclass(frozen=True)
class EvaluateComponents:
    """The components of the panel."""

    names: gr.Dropdown
    """The chosen adapters, or typed variants such as `ga@0.5+sku@1`."""
    coefficients: gr.Textbox
    limit: gr.Slider
    price: gr.HTML
    start: gr.Button
    cancel: gr.Button
    resume: gr.Button
    state: gr.HTML
    seen: gr.State
    """A fingerprint of what the page shows. While it stays the same, nothing is redrawn."""
    clock: gr.Timer

    @property
    def order(self) -> set[gr.components.Component]:
        """The components that say what to measure."""
        return {self.names, self.coefficients, self.limit}


def build_evaluate(context: TabContext, tab: gr.Tab) -> Callable[..., Any]:
    """Lay out the panel and wire it. Returns an event that fires when there may be new rows."""
    parts = lay_out_evaluate()
    access = context.access
    evaluations = EvaluationJobs(days=access.gate.hosting.keep_days)
    handlers = EvaluateHandlers(parts, access, evaluations)
    changes = [part.change for part in (parts.names, parts.coefficients, parts.limit)]
    gr.on(changes, handlers.price, parts.order, parts.price, **AT_ONCE)
    parts.start.click(handlers.start, parts.order, None, **QUIET)
    buttons = JobButtons(access, evaluations, access.gate.training)
    parts.cancel.click(buttons.cancel, None, None, **QUIET)
    parts.resume.click(buttons.resume, None, None, **QUIET)
    watched = {parts.state, parts.cancel, parts.resume, parts.seen}
    # This timer is queued, unlike others, because gradio fires a state's change event only for queued events.
    parts.clock.tick(handlers.look, {parts.seen}, watched, concurrency_limit=None, **QUIET)
    tab.select(handlers.refresh_names, None, parts.names, **QUIET)
    change: Callable[..., Any] = parts.seen.change
    return change


def lay_out_evaluate() -> EvaluateComponents:
    """Lay out the panel."""
    with gr.Accordion("Measure variants here, your own runs too", open=False, elem_id="measure"):
        with gr.Row():
            names = gr.Dropdown(
                [],
                multiselect=True,
                allow_custom_value=True,
                label="Variants",
                info="Choose from the list, or type a variant such as ga@0.5+sku@1.",
                elem_id="measure-variants",
                max_choices=6,
                scale=3,
            )
            info = "Separated by commas. Variants typed with a coefficient keep it."
            coefficients = gr.Textbox("1", label="Coefficients", info=info, elem_id="measure-coefficients", scale=1)
            limit = gr.Slider(*PROMPT_LIMITS, 15, step=1, label="Prompts per set", elem_id="measure-limit", scale=2)
        price = gr.HTML(elem_id="measure-cost", elem_classes="facts")
        with gr.Row():
            start = gr.Button("Measure", elem_id="measure-start", scale=0, min_width=120)
            cancel = gr.Button("Cancel", elem_id="measure-cancel", scale=0, min_width=100, visible=False)
            resume = gr.Button("Resume", elem_id="measure-resume", scale=0, min_width=100, visible=False)
        state = gr.HTML(elem_id="measure-state", elem_classes="facts")
    return EvaluateComponents(
        names, coefficients, limit, price, start, cancel, resume, state, seen=gr.State(""), clock=gr.Timer(4)
    )


class EvaluateHandlers:
    """Handlers that start and watch evaluations."""

    def __init__(self, components: EvaluateComponents, access: Access, evaluations: EvaluationJobs) -> None:
        self.components, self.access, self.evaluations = components, access, evaluations

    def start(self, request: gr.Request, values: Values) -> None:
        """Measure the chosen variants."""
        parts, gate, visitor = self.components, self.access.gate, self.access.visitor(request)
        entries = self.access.entries(request)
        try:
            chosen = [typed_variant(text, entries, gate) for text in values[parts.names] or []]
            variants = measured_variants(chosen, values[parts.coefficients])
            self.evaluations.refuse_second()  # checked first, so that a refusal does not count against the visitor
            gate.training(visitor)
            self.evaluations.start(variants, int(values[parts.limit]), visitor.owner, self.access.session.model_name)
        except REFUSED as error:
            raise refusal(error, "Not measured") from error

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Show the progress of the newest evaluation."""
        parts = self.components
        newest = next(iter(self.evaluations.all(self.access.owner(request))), None)
        fingerprint = f"{newest}"
        if fingerprint == values[parts.seen]:
            return {parts.seen: fingerprint}
        running = newest is not None and newest.state == "running"
        stopped = newest is not None and newest.state in ("cancelled", "failed")
        return {
            parts.state: _state_line(newest),
            parts.cancel: gr.Button("Cancel", visible=running),
            parts.resume: gr.Button("Resume", visible=stopped),
            parts.seen: fingerprint,
        }

    def price(self, values: Values) -> str:
        """Show the cost of measuring the chosen variants."""
        parts, model = self.components, self.access.session.model_name
        chosen, coefficients, limit = values[parts.names], values[parts.coefficients], int(values[parts.limit])
        return price_text(self.evaluations, model, chosen, coefficients, limit)

    def refresh_names(self, request: gr.Request) -> gr.Dropdown:
        """Update the list of variants, so that it contains new runs."""
        entries = self.access.entries(request)
        return gr.Dropdown(choices=variant_options([entry for entry in entries if entry.name != BASE]))


def measured_variants(chosen: Any, coefficients: str) -> list[str]:
    """The variants to measure: every adapter at every coefficient. Sums and variants with a coefficient stay unchanged.

    Raises:
        ValueError: if nothing is chosen, or something chosen is not a variant, or the coefficients are not numbers.
    """
    if not isinstance(chosen, list) or not chosen:
        raise ValueError("no variant is chosen; choose at least one")
    numbers = _numbers(coefficients)
    return list(dict.fromkeys(variant for text in chosen for variant in _at_coefficients(text, numbers)))


def _numbers(text: str) -> list[float]:
    try:
        numbers = [checked_coefficient(float(part)) for part in str(text).split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(
            f"coefficients {text!r} are not numbers from 0 to 10; write something like 0.5, 1, 1.5"
        ) from error
    if not numbers:
        raise ValueError("no coefficient is given; write something like 0.5, 1, 1.5")
    return numbers


def _at_coefficients(text: str, numbers: Sequence[float]) -> list[str]:
    spec = parse_variant(str(text))
    if spec.only_part is None or spec.only_part.coefficient is not None or spec.is_base or spec.server:
        return [str(spec)]
    return [f"{spec}@{number:g}" for number in numbers]


def price_text(evaluations: EvaluationJobs, model: str, chosen: Any, coefficients: str, limit: int) -> str:
    """The cost of measuring the chosen variants, or what is wrong with the choice."""
    try:
        answers, seconds, source = evaluations.cost(len(measured_variants(chosen, coefficients)), limit, model)
    except ValueError as error:
        return html.escape(str(error)) if chosen else ""
    time = "the time is not known" if seconds is None else f"this takes about {duration(seconds)}"
    return (
        f"The models (base included) write {answers} answers of at most {EVALUATION_NEW_TOKENS} tokens and score given "
        f"answers: {time} ({html.escape(source)}). The prompts are bundled and held out, decoding is greedy, and no "
        "network is needed."
    )


def _state_line(job: EvaluationJob | None) -> str:
    if job is None:
        return ""
    names = ", ".join(map(html.escape, job.variants))
    done = job.state == "finished"
    message = "its rows are now in the figure and the table" if done else html.escape(job.message[:300])
    return f"<b>{html.escape(job.name)}</b>: {job.state} · {names} · {message}"
