"""The panel of Robustness that attacks variants. It shows the cost first, and continues while the page is closed."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.attacks import DEFAULT_SUITE, SUITE_ATTACKS, attack_label
from sku.core.variants import BASE
from sku.serving.attack_jobs import PROMPT_LIMITS, AttackJob, AttackJobs
from sku.ui.compare.column import variant_options
from sku.ui.compare.column_variant import typed_variant
from sku.ui.compare.interface import CompareInterface
from sku.ui.events import AT_ONCE, QUIET, Updates, Values, chosen_texts
from sku.ui.hosting.access import Access
from sku.ui.job_panel import REFUSED, JobButtons
from sku.ui.messages import refusal
from sku.ui.tab_context import TabContext

_DEFAULT, _FULL = "default", "full"
_FIRST_LIMIT = 20


@dataclass(frozen=True)
class AttackComponents:
    """The components of the panel."""

    variants: gr.Dropdown
    """The chosen variants, or typed ones such as `ga@0.5+sku@1`."""
    kinds: gr.Dropdown
    """The chosen attacks, or the default or full suite."""
    limit: gr.Slider
    price: gr.HTML
    start: gr.Button
    cancel: gr.Button
    resume: gr.Button
    state: gr.HTML
    seen: gr.State
    """A fingerprint of what the panel shows. While it stays the same, nothing is redrawn."""
    finished: gr.State
    """The names of the measurements that are finished. When it changes, the tab is redrawn."""
    clock: gr.Timer

    @property
    def order(self) -> set[gr.components.Component]:
        """The components that say what to attack."""
        return {self.variants, self.kinds, self.limit}


def build_attack_panel(context: TabContext, tab: gr.Tab) -> Callable[..., Any]:
    """Lay out the panel and wire it. Returns an event that fires when there may be new rows."""
    parts, access, hosting = lay_out_attack_panel(), context.access, context.access.gate.hosting
    jobs = AttackJobs(minutes=hosting.training_minutes, days=hosting.keep_days)
    handlers = AttackHandlers(parts, access, context.compare, jobs)
    changes = [part.change for part in (parts.variants, parts.kinds, parts.limit)]
    gr.on(changes, handlers.price, parts.order, parts.price, **AT_ONCE)
    parts.start.click(handlers.start, parts.order, None, **QUIET)
    buttons = JobButtons(access, jobs, access.gate.may_attack)
    parts.cancel.click(buttons.cancel, None, None, **QUIET)
    parts.resume.click(buttons.resume, None, None, **QUIET)
    watched = {parts.state, parts.cancel, parts.resume, parts.seen, parts.finished}
    # This timer is queued, unlike others, because gradio fires a state's change event only for queued events.
    parts.clock.tick(handlers.look, {parts.seen}, watched, concurrency_limit=None, **QUIET)
    tab.select(handlers.offer_variants, {parts.variants} | context.compare.inputs, parts.variants, **QUIET)
    change: Callable[..., Any] = parts.finished.change
    return change


def lay_out_attack_panel() -> AttackComponents:
    """Lay out the panel."""
    with gr.Accordion("Run attacks here, on your own runs too", open=False, elem_id="attack-panel"):
        with gr.Row(elem_id="attack-order"):
            variants = gr.Dropdown(
                [],
                multiselect=True,
                allow_custom_value=True,
                label="Variants",
                info="Those of Compare, others of the list, or typed ones such as ga@0.5+sku@1. base and a random "
                "vector are always attacked too.",
                elem_id="attack-variants",
                max_choices=6,
                scale=3,
            )
            kinds = gr.Dropdown(
                attack_options(),
                value=[_DEFAULT],
                multiselect=True,
                label="Attacks",
                info="A suite, or single attacks.",
                elem_id="attack-kinds",
                scale=3,
            )
            limit = gr.Slider(*PROMPT_LIMITS, _FIRST_LIMIT, step=1, label="Prompts", elem_id="attack-limit", scale=2)
        price = gr.HTML(elem_id="attack-cost", elem_classes="facts")
        with gr.Row():
            start = gr.Button("Start", variant="primary", elem_id="attack-start", scale=0, min_width=120)
            cancel = gr.Button("Cancel", elem_id="attack-cancel", scale=0, min_width=100, visible=False)
            resume = gr.Button("Resume", elem_id="attack-resume", scale=0, min_width=100, visible=False)
        state = gr.HTML(elem_id="attack-state", elem_classes="facts")
    return AttackComponents(
        variants, kinds, limit, price, start, cancel, resume, state,
        seen=gr.State(""), finished=gr.State([]), clock=gr.Timer(4),
    )  # fmt: skip


def attack_options() -> list[tuple[str, str]]:
    """The suites and all attacks, as labels and values of a list."""
    suites = [(f"default suite ({len(DEFAULT_SUITE)} attacks)", _DEFAULT), ("full suite (all, slow)", _FULL)]
    return [*suites, *((attack_label(name), name) for name in SUITE_ATTACKS)]


class AttackHandlers:
    """Handlers that start and watch attack measurements."""

    def __init__(
        self, components: AttackComponents, access: Access, compare: CompareInterface, jobs: AttackJobs
    ) -> None:
        self.components, self.access, self.compare, self.jobs = components, access, compare, jobs

    def start(self, request: gr.Request, values: Values) -> None:
        """Attack the chosen variants."""
        parts, gate, visitor = self.components, self.access.gate, self.access.visitor(request)
        entries = self.access.entries(request)
        try:
            kinds = chosen_texts(values[parts.kinds])
            variants = [typed_variant(text, entries, gate) for text in chosen_texts(values[parts.variants])]
            self.jobs.refuse_second(self.access.owner(request))  # first: a refusal must not count
            self.jobs.check(variants, kinds, int(values[parts.limit]))
            gate.attack(visitor)
            self.jobs.start(variants, kinds, int(values[parts.limit]), visitor.owner, self.access.session.model_name)
        except REFUSED as error:
            raise refusal(error, "Not attacked") from error

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Show the progress of the newest measurement."""
        parts = self.components
        jobs = self.jobs.all(self.access.owner(request))
        newest = next(iter(jobs), None)
        line = state_line(newest)
        if line == values[parts.seen]:
            return {parts.seen: line}
        stopped = newest is not None and newest.state in ("cancelled", "failed")
        return {
            parts.state: line,
            parts.cancel: gr.Button("Cancel", visible=newest is not None and newest.live),
            parts.resume: gr.Button("Resume", visible=stopped),
            parts.seen: line,
            parts.finished: [job.name for job in jobs if job.state == "finished"],
        }

    def price(self, values: Values) -> str:
        """Show the cost of the chosen attacks."""
        parts, model = self.components, self.access.session.model_name
        variants, kinds = chosen_texts(values[parts.variants]), chosen_texts(values[parts.kinds])
        return price_text(self.jobs, model, variants, kinds, int(values[parts.limit]))

    def offer_variants(self, request: gr.Request, values: Values) -> gr.Dropdown:
        """Offer Compare's variants and all others. While nothing is chosen, Compare's variants are."""
        entries = [entry for entry in self.access.entries(request) if entry.name != BASE]
        compared = list(dict.fromkeys(text for text in self.compare.standing(values) if text != BASE))
        options = [(f"{text} (in Compare)", text) for text in compared] + variant_options(entries)
        if values[self.components.variants]:
            return gr.Dropdown(choices=options)
        return gr.Dropdown(choices=options, value=compared, allow_custom_value=True)


def price_text(jobs: AttackJobs, model: str, variants: Any, kinds: Any, limit: int) -> str:
    """The cost of the chosen attacks, or what is wrong with the choice."""
    if not isinstance(variants, list) or not isinstance(kinds, list) or not variants or not kinds:
        return "Choose at least one variant and one attack."
    try:
        answers, seconds, source = jobs.cost(len(variants), [str(kind) for kind in kinds], limit, model)
    except ValueError as error:
        return html.escape(str(error))
    time = "the time is not known" if seconds is None else f"about {max(1, round(seconds / 60))} min"
    return (
        f"{time[0].upper()}{time[1:]} for {answers} answers, those of base and of a random vector included "
        f"({html.escape(source)}). The prompts are bundled and held out; no network is needed."
    )


def state_line(job: AttackJob | None) -> str:
    """The progress of one measurement, with a bar while it runs."""
    if job is None:
        return ""
    facts = [f"<b>{html.escape(job.name)}</b>: {job.state}", html.escape(", ".join(job.variants))]
    if job.live:
        name = attack_label(job.attacks[job.place - 1]) if job.place else "no attack"
        facts.append(f"{html.escape(name)} ({job.place} of {len(job.attacks)} attacks)")
        if job.seconds_left is not None:
            minutes = round(job.seconds_left / 60)
            facts.append(f"about {minutes} min left" if minutes else "under a minute left")
        return f"{' · '.join(facts)}<div class='progress'><div style='width:{100 * job.progress:.0f}%'></div></div>"
    facts.append("its rows are now in the table" if job.state == "finished" else html.escape(job.message[:300]))
    return " · ".join(facts)
