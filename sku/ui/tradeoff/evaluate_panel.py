"""Measure variants from the Trade-off tab: what it costs is said first; it goes on while the page is away."""

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
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.tabs import TabContext
from sku.ui.train.run_status import duration

_REFUSED = (ValueError, RuntimeError, OSError, RateLimited)


@dataclass(frozen=True)
class EvaluateComponents:
    """The components of the panel."""

    names: gr.Dropdown
    """Adapters, or typed variants such as `ga@0.5+sku@1`."""
    coefficients: gr.Textbox
    limit: gr.Slider
    price: gr.HTML
    start: gr.Button
    cancel: gr.Button
    resume: gr.Button
    state: gr.HTML
    seen: gr.State
    """What the visitor has been shown: while it is the same, nothing is drawn anew."""
    clock: gr.Timer

    @property
    def order(self) -> set[gr.components.Component]:
        """What tells what to measure."""
        return {self.names, self.coefficients, self.limit}


def build_evaluate(context: TabContext, tab: gr.Tab) -> Callable[..., Any]:
    """Lay the panel out and wire it; returns an event that tells that there may be new rows."""
    parts = lay_out_evaluate()
    access = context.access
    handlers = EvaluateHandlers(parts, access, EvaluationJobs(days=access.gate.hosting.keep_days))
    changes = [part.change for part in (parts.names, parts.coefficients, parts.limit)]
    gr.on(changes, handlers.price, parts.order, parts.price, **AT_ONCE)
    parts.start.click(handlers.start, parts.order, None, **QUIET)
    parts.cancel.click(handlers.cancel, None, None, **QUIET)
    parts.resume.click(handlers.resume, None, None, **QUIET)
    watched = {parts.state, parts.cancel, parts.resume, parts.seen}
    # Queued, unlike other timers: gradio tells the change of a state only of events that are.
    parts.clock.tick(handlers.look, {parts.seen}, watched, concurrency_limit=None, **QUIET)
    tab.select(handlers.refresh_names, None, parts.names, **QUIET)
    change: Callable[..., Any] = parts.seen.change
    return change


def lay_out_evaluate() -> EvaluateComponents:
    """Lay the panel out."""
    with gr.Accordion("Measure variants here, your own runs too", open=False, elem_id="measure"):
        with gr.Row():
            names = gr.Dropdown(
                [],
                multiselect=True,
                allow_custom_value=True,
                label="Variants",
                info="from the list, or typed: ga@0.5+sku@1",
                elem_id="measure-variants",
                max_choices=6,
                scale=3,
            )
            info = "of each, separated by commas; a typed coefficient stays"
            coefficients = gr.Textbox("1", label="Coefficients", info=info, elem_id="measure-coefficients", scale=1)
            limit = gr.Slider(*PROMPT_LIMITS, 15, step=1, label="Prompts of each set", elem_id="measure-limit", scale=2)
        price = gr.HTML(elem_id="measure-cost", elem_classes="facts")
        with gr.Row():
            start = gr.Button("Measure", elem_id="measure-start", scale=0, min_width=120)
            cancel = gr.Button("Cancel", elem_id="measure-cancel", scale=0, min_width=100, visible=False)
            resume = gr.Button("Go on", elem_id="measure-resume", scale=0, min_width=100, visible=False)
        state = gr.HTML(elem_id="measure-state", elem_classes="facts")
    return EvaluateComponents(
        names, coefficients, limit, price, start, cancel, resume, state, seen=gr.State(""), clock=gr.Timer(4)
    )


class EvaluateHandlers:
    """Start, watch, cancel and resume evaluations."""

    def __init__(self, components: EvaluateComponents, access: Access, evaluations: EvaluationJobs) -> None:
        self.components, self.access, self.evaluations = components, access, evaluations

    def start(self, request: gr.Request, values: Values) -> None:
        """Measure what is chosen."""
        parts, gate, who = self.components, self.access.gate, self.access.visitor(request)
        entries = self.access.entries(request)
        try:
            chosen = [typed_variant(text, entries, gate) for text in values[parts.names] or []]
            wanted = measured_variants(chosen, values[parts.coefficients])
            self.evaluations.refuse_second()  # it costs none of the visitor's
            gate.training(who)
            self.evaluations.start(wanted, int(values[parts.limit]), who.owner, self.access.session.model_name)
        except _REFUSED as error:
            raise gr.Error(str(error), title="Not measured") from error

    def cancel(self, request: gr.Request) -> None:
        """Stop the evaluation at work."""
        try:
            self.evaluations.cancel_live(self.access.owner(request))
        except ValueError as error:
            raise gr.Error(str(error), title="Not cancelled") from error

    def resume(self, request: gr.Request) -> None:
        """Go on with the newest evaluation."""
        owner = self.access.owner(request)
        try:
            newest = next((one.name for one in self.evaluations.all(owner)), "")
            self.evaluations.read(newest, owner)
            self.evaluations.refuse_second()
            self.access.gate.training(self.access.visitor(request))
            self.evaluations.resume(newest, owner)
        except _REFUSED as error:
            raise gr.Error(str(error), title="Not resumed") from error

    def look(self, request: gr.Request, values: Values) -> Updates:
        """How far the newest evaluation is."""
        parts = self.components
        newest = next(iter(self.evaluations.all(self.access.owner(request))), None)
        now = f"{newest}"
        if now == values[parts.seen]:
            return {parts.seen: now}
        running = newest is not None and newest.state == "running"
        stopped = newest is not None and newest.state in ("cancelled", "failed")
        return {
            parts.state: _state_line(newest),
            parts.cancel: gr.Button(visible=running),
            parts.resume: gr.Button(visible=stopped),
            parts.seen: now,
        }

    def price(self, values: Values) -> str:
        """What measuring will take."""
        parts, model = self.components, self.access.session.model_name
        chosen, coefficients, limit = values[parts.names], values[parts.coefficients], int(values[parts.limit])
        return price_text(self.evaluations, model, chosen, coefficients, limit)

    def refresh_names(self, request: gr.Request) -> gr.Dropdown:
        """What was trained since is there to be chosen."""
        entries = self.access.entries(request)
        return gr.Dropdown(choices=variant_options([entry for entry in entries if entry.name != BASE]))


def measured_variants(chosen: Any, coefficients: str) -> list[str]:
    """Every adapter at every coefficient; sums, and variants that were typed with a coefficient, as they are.

    Raises:
        ValueError: if nothing is chosen, or it is no variant, or no coefficient.
    """
    if not isinstance(chosen, list) or not chosen:
        raise ValueError("no variant is chosen; choose at least one")
    numbers = _numbers(coefficients)
    return list(dict.fromkeys(variant for text in chosen for variant in _at_coefficients(text, numbers)))


def _numbers(text: str) -> list[float]:
    try:
        numbers = [checked_coefficient(float(part)) for part in str(text).split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"coefficients {text!r} are not numbers from 0 to 10; write such as 0.5, 1, 1.5") from error
    if not numbers:
        raise ValueError("no coefficient is given; write such as 0.5, 1, 1.5")
    return numbers


def _at_coefficients(text: str, numbers: Sequence[float]) -> list[str]:
    spec = parse_variant(str(text))
    if spec.only_part is None or spec.only_part.coefficient is not None or spec.is_base:
        return [str(spec)]
    return [f"{spec}@{number:g}" for number in numbers]


def price_text(evaluations: EvaluationJobs, model: str, chosen: Any, coefficients: str, limit: int) -> str:
    """What measuring will take, or what is wrong with the order."""
    try:
        answers, seconds, source = evaluations.cost(len(measured_variants(chosen, coefficients)), limit, model)
    except ValueError as error:
        return html.escape(str(error)) if chosen else ""
    about = "time not known" if seconds is None else f"about {duration(seconds)}"
    return (
        f"{answers} answers of at most {EVALUATION_NEW_TOKENS} tokens, base included, and scores of given ones: "
        f"{about} ({html.escape(source)}). Bundled held-out prompts, greedy; needs no network."
    )


def _state_line(found: EvaluationJob | None) -> str:
    if found is None:
        return ""
    names = ", ".join(map(html.escape, found.variants))
    said = "its rows are in the figure and the table" if found.state == "finished" else html.escape(found.message[:300])
    return f"<b>{html.escape(found.name)}</b>: {found.state} · {names} · {said}"
