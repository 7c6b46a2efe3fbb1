"""What happens in Pipeline: from the values of components to their updates. The wiring says when."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from sku.core.records import PairKind
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.events import Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.train import form, run_actions, run_status
from sku.ui.train.layout import FormColumn, RunColumn


class FormHandlers:
    """What stands beside the settings follows them."""

    def __init__(self, components: FormColumn) -> None:
        self.components = components

    def estimate(self, values: Values) -> str:
        """Time and memory to expect."""
        return form.estimate_text(self.components.form.read(values))

    def preview(self, kind: PairKind) -> Callable[[str | None], Updates]:
        """A handler that shows the first pairs of an uploaded file, or what is wrong with it."""
        parts = self.components

        def preview(path: str | None) -> Updates:
            try:
                rows, said = form.preview_file(kind, path)
            except (ValueError, OSError) as error:
                note = f"<p class='fault'>{html.escape(str(error))}</p>"
                return {parts.preview_note: note, parts.preview: gr.Dataframe(visible=False)}
            note = f"<p>{html.escape(said)}</p>" if said else ""
            return {parts.preview_note: note, parts.preview: gr.Dataframe(rows, visible=bool(rows))}

        return preview


class RunHandlers:
    """Start, watch and use runs."""

    def __init__(self, filled: FormColumn, runs: RunColumn, access: Access, trainings: TrainingJobs) -> None:
        self.settings, self.runs, self.access, self.trainings = filled.form, runs, access, trainings

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Everything that is watched; nothing where nothing has changed, so that nothing flickers."""
        return look_at_runs(
            self.runs,
            self.trainings,
            self.access.owner(request),
            values[self.runs.run],
            values[self.runs.beside] or [],
            values[self.runs.seen],
        )

    def start(self, request: gr.Request, values: Values) -> Any:
        """Train what the form says."""
        wanted = self.settings.read(values)
        return run_actions.start_run(self.trainings, self.access.gate, self.access.visitor(request), wanted)

    def cancel(self, request: gr.Request) -> None:
        """Stop the run at work."""
        run_actions.cancel_run(self.trainings, self.access.owner(request))

    def resume(self, request: gr.Request, name: str | None) -> None:
        """Go on with a run that stopped."""
        run_actions.resume_run(self.trainings, self.access.gate, self.access.visitor(request), name)

    def delete(self, request: gr.Request, name: str | None) -> Any:
        """Delete a run; there is no name where the visitor did not confirm."""
        return run_actions.delete_run(self.trainings, self.access.owner(request), name) if name else gr.skip()

    def download(self, request: gr.Request, name: str | None) -> Any:
        """Pack a run's adapter."""
        return run_actions.download_run(self.trainings, self.access.gate, self.access.owner(request), name)

    def rerun(self, request: gr.Request, name: str | None) -> Updates:
        """Fill the form with what a run used."""
        filled = run_actions.refill_form(self.trainings, self.access.owner(request), name)
        return {self.settings.by_name[field]: value for field, value in filled.items()}


def look_at_runs(
    parts: RunColumn, trainings: TrainingJobs, owner: str | None, name: str | None, beside: list[str], seen: str
) -> Updates:
    """Updates of everything that is watched, unless the visitor has `seen` it.

    Args:
        parts: the components.
        trainings: holds the runs.
        owner: whose runs are shown; None: all.
        name: the chosen run; without one, the one at work or the newest.
        beside: runs to compare it with.
        seen: what the visitor has been shown.
    """
    every = trainings.all(owner)
    names = [job.name for job in every]
    live = next((job for job in every if job.live), None)
    job = next((job for job in every if job.name == name), live or (every[0] if every else None))
    busy = owner is not None and live is None and trainings.live() is not None
    states = "|".join(f"{one.name} {one.state} {one.step}" for one in every)
    now = f"{states}|{name}|{beside}|{busy}|{job.message if job else ''}"
    if now == seen:
        return {parts.seen: seen}
    curves = run_status.loss_plot(job, [one for one in every if one.name in beside and one != job])
    return {
        parts.status: run_status.status_html(job, busy),
        parts.cancel: gr.Button(visible=live is not None),
        parts.curves: gr.Plot(curves, visible=True) if job else gr.Plot(visible=False),
        parts.probes: run_status.probe_table(job),
        parts.norms: _norms(job),
        # a choice is left alone where it stands for a run: it may be newer than this answer
        parts.run: gr.Dropdown(choices=names)
        if name in names
        else gr.Dropdown(choices=names, value=job.name if job else None),
        parts.beside: gr.Dropdown(choices=[one for one in names if job is None or one != job.name]),
        parts.table: [run_status.run_row(one) for one in every],
        parts.past: gr.Column(visible=bool(every)),
        parts.stages: gr.HTML(visible=not every),
        parts.seen: now,
    }


def _norms(job: TrainingJob | None) -> Any:
    return run_status.norm_plot(job) if job and not job.live else gr.skip()
