"""The Pipeline tab: start a training, watch it, and find it in Compare.

It reads everything from run folders, so a reload or a restart loses nothing.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.core.records import PairKind
from sku.serving.evaluation_jobs import EvaluationJobs
from sku.ui.events import AT_ONCE, QUIET
from sku.ui.tab_context import TabContext
from sku.ui.train import form
from sku.ui.train.combine_panel import build_combine
from sku.ui.train.form_layout import OrderForm, lay_out_form
from sku.ui.train.handlers import FormHandlers, RunHandlers
from sku.ui.train.limits import limits_text
from sku.ui.train.rename_panel import build_rename
from sku.ui.train.run_layout import RunPanel, lay_out_runs, lay_out_words

_CONFIRM = "(name) => name && confirm(`Delete ${name} and its adapter?`) ? name : null"


def build_train(context: TabContext, tab: gr.Tab) -> None:
    """Lay out the tab and wire its events."""
    access = context.access
    hosting, base = access.gate.hosting, access.session.model_name
    limits = limits_text(hosting, hosting.trainings_a_day)
    ordered = lay_out_form(form.offered_presets(base), hosting.training, base, limits)
    runs = lay_out_runs(ordered.limits)
    build_combine(context, tab, runs.run)
    build_rename(context, runs.run)
    lay_out_words()
    evaluations = EvaluationJobs(days=hosting.keep_days)
    _wire_form(ordered, FormHandlers(ordered))
    handlers = RunHandlers(ordered, runs, access, context.trainings, evaluations)
    _wire_runs(ordered, runs, handlers)
    context.compare.open_beside(runs.open.click, runs.run)


def _wire_form(parts: OrderForm, handlers: FormHandlers) -> None:
    settings = parts.form
    gr.on(
        [settings.method.change, settings.size.change],
        form.method_summary,
        [settings.method, settings.size],
        parts.method_summary,
        **AT_ONCE,
    )
    previewed = {parts.own_file.note, parts.own_file.table}
    kinds: tuple[PairKind, PairKind] = ("harmful", "normal")
    sources, files = (settings.harmful, settings.normal), (settings.harmful_file, settings.normal_file)
    for kind, source, file in zip(kinds, sources, files, strict=True):
        lists = settings.column_lists(kind)
        shown = {file, parts.own_file.panel, *lists}
        source.change(handlers.show_own_file(kind), {*sources, file}, shown, **AT_ONCE)
        read = {file, settings.all_rows, *lists}
        file.change(handlers.upload(kind), read, previewed | set(lists), **QUIET)
        for one in (*lists, settings.all_rows):
            one.input(handlers.preview(kind), read, previewed, **QUIET)
    without_cost = (
        "rate",
        "seed",
        "probe",
        "base",
        *(f"{kind}_{column}" for kind in kinds for column in ("prompt", "answer")),
    )
    changes = [part.change for name, part in settings.by_name.items() if name not in without_cost]
    gr.on(changes, handlers.estimate, settings.all, parts.estimate, **AT_ONCE)


def _wire_runs(ordered: OrderForm, runs: RunPanel, handlers: RunHandlers) -> None:
    refresh: dict[str, Any] = {"fn": handlers.look, "inputs": runs.choice, "outputs": runs.watched, **QUIET}
    runs.clock.tick(**refresh, queue=False)
    ordered.start.click(handlers.start, ordered.form.all, runs.run, api_visibility="private").then(**refresh)
    runs.cancel.click(handlers.cancel, None, None, **QUIET)
    runs.resume.click(handlers.resume, runs.run, None, **QUIET)
    runs.measure.click(handlers.measure, runs.run, None, **QUIET).then(**refresh)
    runs.rerun.click(handlers.rerun, runs.run, ordered.form.all, **QUIET)
    runs.download.click(handlers.download, runs.run, runs.package, **QUIET)
    runs.delete.click(handlers.delete, runs.run, runs.run, js=_CONFIRM, **QUIET)
