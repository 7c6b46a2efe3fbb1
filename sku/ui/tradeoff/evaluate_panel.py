"""Measure variants from the Trade-off tab: what it costs is said first; it goes on while the page is away."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from sku.core.variants import BASE
from sku.serving.evaluation_jobs import EVALUATION_NEW_TOKENS, PROMPT_LIMITS, EvaluationJob, EvaluationJobs
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare.columns import variant_options
from sku.ui.hosting.gate import Gate, Visitor, checked_coefficient
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.visitors import visitor_of
from sku.ui.train.run_status import duration

_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build_evaluate(
    gate: Gate, choices: Callable[[gr.Request], list[CatalogEntry]], redraw: Callable[[Any], Any], model: str
) -> gr.Dropdown:
    """Lay the panel out and wire it; returns the list of variants, to be refreshed.

    Args:
        gate: what visitors may do.
        choices: variants that a visitor may ask.
        redraw: given an event, draws the trade-off after it.
        model: base of the variants.
    """
    work = EvaluationJobs(gate.hosting.keep_days)

    def who(request: gr.Request) -> Visitor:
        return visitor_of(request, gate.hosting.proxy)

    with gr.Accordion("Measure variants here, your own runs too", open=False, elem_id="measure"):
        with gr.Row():
            names = gr.Dropdown(
                [], multiselect=True, label="Variants", elem_id="measure-variants", max_choices=6, scale=3
            )
            coefficients = gr.Textbox(
                "1", label="Coefficients", info="of each, apart by commas", elem_id="measure-coefficients", scale=1
            )
            limit = gr.Slider(*PROMPT_LIMITS, 15, step=1, label="Prompts of each set", elem_id="measure-limit", scale=2)
        price = gr.HTML(elem_id="measure-cost", elem_classes="facts")
        with gr.Row():
            start = gr.Button("Measure", elem_id="measure-start", scale=0, min_width=120)
            cancel = gr.Button("Cancel", elem_id="measure-cancel", scale=0, min_width=100, visible=False)
            resume = gr.Button("Go on", elem_id="measure-resume", scale=0, min_width=100, visible=False)
        state = gr.HTML(elem_id="measure-state", elem_classes="facts")
        before = gr.State("")
    clock = gr.Timer(4)

    def begin(request: gr.Request, chosen: list[str], text: str, most: float) -> None:
        known = {choice.name for choice in choices(request)}
        try:
            wanted = [gate.variant(one, known) for one in _variants(chosen, text)]
            work.refuse_second()  # it costs none of the visitor's
            gate.training(who(request))
            work.start(wanted, int(most), who(request).owner, model)
        except (ValueError, RuntimeError, OSError, RateLimited) as error:
            raise gr.Error(str(error), title="Not measured") from error

    def halt(request: gr.Request) -> None:
        try:
            work.cancel_live(gate.owner(who(request)))
        except ValueError as error:
            raise gr.Error(str(error), title="Not cancelled") from error

    def again(request: gr.Request) -> None:
        owner = gate.owner(who(request))
        try:
            newest = next((one.name for one in work.all(owner)), "")
            work.read(newest, owner)
            work.refuse_second()
            gate.training(who(request))
            work.resume(newest, owner)
        except (ValueError, RuntimeError, OSError, RateLimited) as error:
            raise gr.Error(str(error), title="Not resumed") from error

    def look(request: gr.Request, shown: str) -> list[Any]:
        newest = next(iter(work.all(gate.owner(who(request)))), None)
        now = f"{newest}"
        if now == shown:
            return [gr.skip()] * 3 + [shown]
        running = newest is not None and newest.state == "running"
        stopped = newest is not None and newest.state in ("cancelled", "failed")
        return [_state(newest), gr.Button(visible=running), gr.Button(visible=stopped), now]

    gr.on(
        [names.change, coefficients.change, limit.change],
        lambda chosen, text, most: _price(work, model, chosen, text, most),
        [names, coefficients, limit],
        price,
        queue=False,
        **_QUIET,
    )
    start.click(begin, [names, coefficients, limit], None, **_QUIET)
    cancel.click(halt, None, None, **_QUIET)
    resume.click(again, None, None, **_QUIET)
    clock.tick(look, before, [state, cancel, resume, before], concurrency_limit=None, **_QUIET)  # queued: see `change`
    redraw(before.change)
    return names


def variant_choices(choices: Sequence[CatalogEntry]) -> Any:
    """An update of the list of variants."""
    return gr.Dropdown(choices=[entry for entry in variant_options(choices) if entry[1] != BASE])


def _variants(chosen: Any, text: str) -> list[str]:
    """Every name at every coefficient."""
    if not isinstance(chosen, list) or not chosen:
        raise ValueError("no variant is chosen; choose at least one")
    try:
        numbers = [float(part) for part in str(text).split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"coefficients {text!r} are no numbers; write such as 0.5, 1, 1.5") from error
    if not numbers:
        raise ValueError("no coefficient is given; write such as 0.5, 1, 1.5")
    return list(dict.fromkeys(f"{name}@{checked_coefficient(number):g}" for name in chosen for number in numbers))


def _price(work: EvaluationJobs, model: str, chosen: Any, text: str, limit: float) -> str:
    try:
        answers, seconds, source = work.cost(len(_variants(chosen, text)), int(limit), model)
    except ValueError as error:
        return html.escape(str(error)) if chosen else ""
    about = "time not known" if seconds is None else f"about {duration(seconds)}"
    return (
        f"{answers} answers of at most {EVALUATION_NEW_TOKENS} tokens, base included, and scores of given ones: "
        f"{about} ({html.escape(source)}). Bundled held-out prompts, greedy; needs no network."
    )


def _state(found: EvaluationJob | None) -> str:
    if found is None:
        return ""
    names = ", ".join(map(html.escape, found.variants))
    said = "its rows are in the figure and the table" if found.state == "finished" else html.escape(found.message[:300])
    return f"<b>{html.escape(found.name)}</b>: {found.state} · {names} · {said}"
