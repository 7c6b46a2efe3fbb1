"""The Pipeline tab: start a training, watch it, and find it in Compare.

It reads everything from run folders, so a reload or a restart loses nothing.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from sku.core.records import PairKind
from sku.ui.events import AT_ONCE, QUIET
from sku.ui.tab_context import TabContext
from sku.ui.train import form
from sku.ui.train.combine_panel import build_combine
from sku.ui.train.form import PRESET_NAMES, UPLOAD_LABEL
from sku.ui.train.handlers import FormHandlers, RunHandlers
from sku.ui.train.layout import FormColumn, RunColumn, lay_out_form, lay_out_runs
from sku.ui.train.rename_panel import build_rename
from sku.ui.train.run_actions import OFFERED_PRESETS

_CONFIRM = "(name) => name && confirm(`Delete ${name} and its adapter?`) ? name : null"


def build_train(context: TabContext, tab: gr.Tab) -> None:
    """Lay out the tab and wire its events."""
    hosting = context.access.gate.hosting
    with gr.Row():
        filled = lay_out_form(
            OFFERED_PRESETS if hosting.public else PRESET_NAMES, hosting.training, context.access.session.model_name
        )
        runs = lay_out_runs()
    build_combine(context, tab, runs.run)
    build_rename(context, runs.run)
    _wire_form(filled, FormHandlers(filled))
    _wire_runs(filled, runs, RunHandlers(filled, runs, context.access, context.trainings))


def _wire_form(parts: FormColumn, handlers: FormHandlers) -> None:
    settings = parts.form
    gr.on(
        [settings.method.change, settings.size.change],
        form.method_summary,
        [settings.method, settings.size],
        parts.method_summary,
        **AT_ONCE,
    )
    previewed = {parts.preview_note, parts.preview}
    kinds: tuple[PairKind, PairKind] = ("harmful", "normal")
    sources, files = (settings.harmful, settings.normal), (settings.harmful_file, settings.normal_file)
    for kind, source, file in zip(kinds, sources, files, strict=True):
        lists = settings.column_lists(kind)
        source.change(_show_own_file, [source, file], [file, *lists], **AT_ONCE)
        file.change(handlers.upload(kind), [file, *lists], previewed | set(lists), **QUIET)
        for one in lists:
            one.input(handlers.preview(kind), [file, *lists], previewed, **QUIET)
    without_cost = (
        "rate",
        "seed",
        "probe",
        "base",
        *(f"{kind}_{column}" for kind in kinds for column in ("prompt", "answer")),
    )
    changes = [part.change for name, part in settings.by_name.items() if name not in without_cost]
    gr.on(changes, handlers.estimate, settings.all, parts.estimate, **AT_ONCE)


def _show_own_file(source: str, path: str | None) -> list[Any]:
    """Updates of the upload and its two lists of columns: shown for a file of one's own, the lists once it is there."""
    own = source == UPLOAD_LABEL
    return [gr.File(visible=own), *(gr.Dropdown(visible=own and bool(path)) for _ in range(2))]


def _wire_runs(filled: FormColumn, runs: RunColumn, handlers: RunHandlers) -> None:
    refresh: dict[str, Any] = {"fn": handlers.look, "inputs": runs.choice, "outputs": runs.watched, **QUIET}
    runs.clock.tick(**refresh, queue=False)
    filled.start.click(handlers.start, filled.form.all, runs.run, api_visibility="private").then(**refresh)
    runs.cancel.click(handlers.cancel, None, None, **QUIET)
    runs.resume.click(handlers.resume, runs.run, None, **QUIET)
    runs.rerun.click(handlers.rerun, runs.run, filled.form.all, **QUIET)
    runs.download.click(handlers.download, runs.run, runs.package, **QUIET)
    runs.delete.click(handlers.delete, runs.run, runs.run, js=_CONFIRM, **QUIET)
