"""The panel of Trade-off that measures variants, on held-out prompts or on the visitor's own.

It shows the cost first, and the measurement continues while the page is closed.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sku.core.records import PromptPair
from sku.core.variants import BASE, parse_variant
from sku.data import load_pairs
from sku.serving.evaluation_jobs import (
    EVALUATION_NEW_TOKENS,
    MAX_OWN_PROMPTS,
    PROMPT_LIMITS,
    EvaluationJob,
    EvaluationJobs,
)
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare.column import variant_options
from sku.ui.compare.column_variant import typed_variant
from sku.ui.events import AT_ONCE, NO_FILE, QUIET, Updates, Values, chosen_texts
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import checked_coefficient
from sku.ui.job_panel import REFUSED, JobButtons
from sku.ui.messages import inform, refusal
from sku.ui.tab_context import TabContext
from sku.ui.train.run_status import duration


@dataclass(frozen=True)
class EvaluateComponents:
    """The components of the panel."""

    names: gr.Dropdown
    """The chosen adapters, or typed variants such as `ga@0.5+sku@1`."""
    coefficients: gr.Textbox
    limit: gr.Slider
    prompts: gr.Textbox
    """The visitor's own prompts, one per line; empty for the bundled ones."""
    upload: gr.UploadButton
    """A file of prompts, which fills the box."""
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
        return {self.names, self.coefficients, self.limit, self.prompts}


def build_evaluate(context: TabContext, tab: gr.Tab) -> Callable[..., Any]:
    """Lay out the panel and wire it. Returns an event that fires when there may be new rows."""
    access = context.access
    parts = lay_out_evaluate(access.first_entries())
    evaluations = EvaluationJobs(days=access.gate.hosting.keep_days)
    handlers = EvaluateHandlers(parts, access, evaluations)
    changes = [part.change for part in (parts.names, parts.coefficients, parts.limit, parts.prompts)]
    gr.on(changes, handlers.price, parts.order, parts.price, **AT_ONCE)
    parts.upload.upload(read_prompts, parts.upload, parts.prompts, **QUIET)
    parts.start.click(handlers.start, parts.order, None, **QUIET)
    buttons = JobButtons(access, evaluations, access.gate.may_train)
    parts.cancel.click(buttons.cancel, None, None, **QUIET)
    parts.resume.click(buttons.resume, None, None, **QUIET)
    watched = {parts.state, parts.cancel, parts.resume, parts.seen}
    # This timer is queued, unlike others, because gradio fires a state's change event only for queued events.
    parts.clock.tick(handlers.look, {parts.seen}, watched, concurrency_limit=None, **QUIET)
    tab.select(handlers.refresh_names, None, parts.names, **QUIET)
    change: Callable[..., Any] = parts.seen.change
    return change


def lay_out_evaluate(entries: Sequence[CatalogEntry]) -> EvaluateComponents:
    """Lay out the panel, with the recommended ones of the variants in `entries` chosen."""
    with gr.Accordion("Measure variants here, your own runs and your own prompts too", open=False, elem_id="measure"):
        with gr.Row():
            names, coefficients = _names(entries), _coefficients()
            limit = gr.Slider(*PROMPT_LIMITS, 15, step=1, label="Prompts per set", elem_id="measure-limit", scale=2)
        with gr.Row():
            prompts = _prompts()
            upload = gr.UploadButton(
                "Prompts from a file",
                file_types=[".txt", ".csv", ".tsv", ".json", ".jsonl"],
                scale=0,
                min_width=160,
                elem_id="measure-upload",
            )
        price = gr.HTML(elem_id="measure-cost", elem_classes="facts")
        with gr.Row():
            start = gr.Button("Measure", elem_id="measure-start", scale=0, min_width=120)
            cancel = gr.Button("Cancel", elem_id="measure-cancel", scale=0, min_width=100, visible=False)
            resume = gr.Button("Resume", elem_id="measure-resume", scale=0, min_width=100, visible=False)
        state = gr.HTML(elem_id="measure-state", elem_classes="facts")
    return EvaluateComponents(
        names=names,
        coefficients=coefficients,
        limit=limit,
        prompts=prompts,
        upload=upload,
        price=price,
        start=start,
        cancel=cancel,
        resume=resume,
        state=state,
        seen=gr.State(""),
        clock=gr.Timer(4),
    )


def _names(entries: Sequence[CatalogEntry]) -> gr.Dropdown:
    recommended = [f"{one.name}@{one.default_coefficient:g}" for one in entries if one.name in ("ga", "sku")]
    return gr.Dropdown(
        recommended,
        value=recommended,
        multiselect=True,
        allow_custom_value=True,
        label="Variants",
        info="Choose from the list, or type a variant such as ga@0.5+sku@1. The base is measured too.",
        elem_id="measure-variants",
        max_choices=6,
        scale=3,
    )


def _coefficients() -> gr.Textbox:
    info = "Separated by commas. Variants typed with a coefficient keep it."
    return gr.Textbox("1", label="Coefficients", info=info, elem_id="measure-coefficients", scale=1)


def _prompts() -> gr.Textbox:
    return gr.Textbox(
        label="Your own prompts (optional)",
        info=f"Requests that a model should refuse, one per line, at most {MAX_OWN_PROMPTS}. They replace the bundled "
        "harmful prompts. What forgetting costs is still measured on bundled harmless prompts.",
        lines=2,
        max_lines=8,
        elem_id="measure-prompts",
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
            chosen = [typed_variant(text, entries, gate) for text in chosen_texts(values[parts.names])]
            variants = measured_variants(chosen, values[parts.coefficients])
            prompts = [gate.prompt(prompt) for prompt in own_prompts(values[parts.prompts])]
            self.evaluations.refuse_second(gate.owner(visitor))  # first: a refusal must not count
            gate.training(visitor)
            self.evaluations.start(
                variants, int(values[parts.limit]), visitor.owner, self.access.session.model_name, prompts
            )
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
        chosen, limit = chosen_texts(values[parts.names]), int(values[parts.limit])
        return price_text(self.evaluations, model, chosen, values[parts.coefficients], limit, values[parts.prompts])

    def refresh_names(self, request: gr.Request) -> gr.Dropdown:
        """Update the list of variants, so that it contains new runs."""
        entries = self.access.entries(request)
        return gr.Dropdown(choices=variant_options([entry for entry in entries if entry.name != BASE]))


def measured_variants(chosen: Sequence[str], coefficients: str) -> list[str]:
    """The variants to measure: every adapter at every coefficient. Sums and variants with a coefficient stay unchanged.

    Raises:
        ValueError: if nothing is chosen, or something chosen is not a variant, or the coefficients are not numbers.
    """
    if not chosen:
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


def own_prompts(text: Any) -> list[str]:
    """The visitor's own prompts, without repetition; empty if there are none.

    Raises:
        ValueError: if there are more than `MAX_OWN_PROMPTS`.
    """
    lines = text.splitlines() if isinstance(text, str) else []
    prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(prompts) > MAX_OWN_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts were given; give at most {MAX_OWN_PROMPTS}, one per line")
    return prompts


def read_prompts(path: str | None) -> str:
    """The prompts of an uploaded file, one per line. Line breaks inside a prompt become spaces."""
    if path is None:
        raise refusal(NO_FILE, "Not read")
    try:
        if Path(path).suffix.lower() == ".txt":
            return Path(path).read_text(encoding="utf-8-sig")
        pairs = _without_conversations(load_pairs(path, "harmful").pairs)
        return "\n".join(dict.fromkeys(" ".join(pair.prompt.split()) for pair in pairs))
    except UnicodeDecodeError as error:
        raise refusal("this file is not text in UTF-8; give one prompt per line", "Not read") from error
    except (ValueError, OSError) as error:
        raise refusal(str(error).replace(path, Path(path).name), "Not read") from error


def _without_conversations(pairs: Sequence[PromptPair]) -> list[PromptPair]:
    """The pairs without earlier turns: a line of text holds a prompt, and no conversation before it.

    Raises:
        ValueError: if there are none.
    """
    kept = [pair for pair in pairs if not pair.before.turns]
    if not kept:
        raise ValueError(
            "all rows are conversations of several turns, which this page does not measure; give the file to "
            "`sku evaluate --harmful-prompts` instead"
        )
    if len(kept) < len(pairs):
        inform(f"{len(pairs) - len(kept)} of {len(pairs)} rows are conversations of several turns and are left out.")
    return kept


def price_text(
    evaluations: EvaluationJobs, model: str, chosen: Any, coefficients: str, limit: int, prompts: Any = ""
) -> str:
    """The cost of measuring the chosen variants, or what is wrong with the choice."""
    try:
        own = len(own_prompts(prompts))
        answers, seconds, source = evaluations.cost(len(measured_variants(chosen, coefficients)), limit, model, own)
    except ValueError as error:
        return html.escape(str(error)) if chosen else ""
    time = "the time is not known" if seconds is None else f"this takes about {duration(seconds)}"
    return (
        f"The models (base included) write {answers} answers of at most {EVALUATION_NEW_TOKENS} tokens and score given "
        f"answers: {time} ({html.escape(source)}). {_asked_text(own)}, decoding is greedy, and no network is needed."
    )


def _asked_text(own: int) -> str:
    if not own:
        return "The prompts are bundled and held out"
    return f"{own} harmful {'prompt is' if own == 1 else 'prompts are'} yours, the others are bundled and held out"


def _state_line(job: EvaluationJob | None) -> str:
    if job is None:
        return ""
    names = ", ".join(map(html.escape, job.variants))
    done = job.state == "finished"
    where = "under Prompts: own" if job.own_prompts else "in the figure and the table"
    message = f"its rows are now {where}" if done else html.escape(job.message[:300])
    return f"<b>{html.escape(job.name)}</b>: {job.state} · {names} · {message}"
