"""The event handlers of Pipeline: each takes the values of components and returns updates. `tab.py` wires them."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from sku.core.records import PairKind
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.events import Updates, Values
from sku.ui.hosting.access import Access
from sku.ui.train import form, own_file, run_actions, run_status
from sku.ui.train.layout import FormColumn, RunColumn


class FormHandlers:
    """Handlers that update the estimate and the previews when the settings change."""

    def __init__(self, components: FormColumn) -> None:
        self.components = components

    def estimate(self, values: Values) -> str:
        """The time and memory to expect."""
        return form.estimate_text(self.components.form.read(values))

    def preview(self, kind: PairKind) -> Callable[[str | None, str | None, str | None], Updates]:
        """Return a handler that shows the first pairs of an uploaded file, or what is wrong with it."""
        parts = self.components

        def preview(path: str | None, prompt: str | None, answer: str | None) -> Updates:
            try:
                found = own_file.preview_file(kind, path, prompt, answer)
            except (ValueError, OSError) as error:
                return {parts.preview_note: _fault(str(error)), parts.preview: gr.Dataframe(visible=False)}
            note = f"<p>{html.escape(found.summary)}</p>" if found.summary else ""
            note += _fault(found.fault) if found.fault else ""
            return {parts.preview_note: note, parts.preview: gr.Dataframe(found.rows, visible=bool(found.rows))}

        return preview

    def upload(self, kind: PairKind) -> Callable[[str | None, str | None, str | None], Updates]:
        """Return a handler that also fills the two lists of columns, when another file came."""
        prompts, answers = self.components.form.column_lists(kind)
        preview = self.preview(kind)

        def upload(path: str | None, prompt: str | None, answer: str | None) -> Updates:
            try:
                columns = own_file.file_columns(kind, path, prompt, answer) if path else None
            except (ValueError, OSError):  # the preview says what is wrong
                columns = None
            if columns is None:
                hidden = gr.Dropdown(choices=[], value=None, visible=False)
                return {**preview(path, None, None), prompts: hidden, answers: hidden}
            names = list(columns.names)
            return {
                **preview(path, columns.prompt, columns.answer),
                prompts: gr.Dropdown(choices=names, value=columns.prompt, visible=True),
                answers: gr.Dropdown(choices=names, value=columns.answer, visible=True),
            }

        return upload


class RunHandlers:
    """Handlers that start, watch and use runs."""

    def __init__(self, filled: FormColumn, runs: RunColumn, access: Access, trainings: TrainingJobs) -> None:
        self.settings, self.runs, self.access, self.trainings = filled.form, runs, access, trainings

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Update everything that shows runs, but only if something has changed, so that the page does not flicker."""
        return look_at_runs(
            self.runs,
            self.trainings,
            self.access.owner(request),
            values[self.runs.run],
            values[self.runs.beside] or [],
            values[self.runs.seen],
        )

    def start(self, request: gr.Request, values: Values) -> Any:
        """Start the training that the form describes."""
        filled = self.settings.read(values)
        return run_actions.start_run(self.trainings, self.access.gate, self.access.visitor(request), filled)

    def cancel(self, request: gr.Request) -> None:
        """Cancel the training that is running."""
        run_actions.cancel_run(self.trainings, self.access.gate, self.access.visitor(request))

    def resume(self, request: gr.Request, name: str | None) -> None:
        """Resume a run that stopped."""
        run_actions.resume_run(self.trainings, self.access.gate, self.access.visitor(request), name)

    def delete(self, request: gr.Request, name: str | None) -> Any:
        """Delete a run. The name is None if the visitor did not confirm."""
        return run_actions.delete_run(self.trainings, self.access.owner(request), name) if name else gr.skip()

    def download(self, request: gr.Request, name: str | None) -> Any:
        """Offer a run's adapter for download, as a zip file."""
        return run_actions.download_run(self.trainings, self.access.gate, self.access.owner(request), name)

    def rerun(self, request: gr.Request, name: str | None) -> Updates:
        """Fill the form with a run's settings."""
        filled = run_actions.refill_form(self.trainings, self.access.owner(request), name)
        return {self.settings.by_name[field]: value for field, value in filled.items()}


def look_at_runs(
    parts: RunColumn, trainings: TrainingJobs, owner: str | None, name: str | None, beside: list[str], seen: str
) -> Updates:
    """Updates of everything that shows runs; none if the page is up to date.

    Args:
        parts: the components.
        trainings: the runs.
        owner: the visitor whose runs are shown; None shows all.
        name: the chosen run. Without one, the run in progress or else the newest is shown.
        beside: the names of runs to compare it with.
        seen: the fingerprint of what the page shows now.
    """
    jobs = trainings.all(owner)
    names = [job.name for job in jobs]
    live = next((job for job in jobs if job.live), None)
    chosen = next((job for job in jobs if job.name == name), live or (jobs[0] if jobs else None))
    busy = owner is not None and live is None and trainings.live() is not None
    states = "|".join(f"{job.name} {job.state} {job.step}" for job in jobs)
    fingerprint = f"{states}|{name}|{beside}|{busy}|{chosen.message if chosen else ''}"
    if fingerprint == seen:
        return {parts.seen: seen}
    curves = run_status.loss_plot(chosen, [job for job in jobs if job.name in beside and job != chosen])
    return {
        parts.status: run_status.status_html(chosen, busy),
        parts.cancel: gr.Button("Cancel", visible=live is not None),
        parts.curves: gr.Plot(curves, visible=True) if chosen else gr.Plot(visible=False),
        parts.probes: run_status.probe_table(chosen),
        parts.norms: _norms(chosen),
        # a valid choice is not sent back: the visitor may have chosen another run in the meantime
        parts.run: gr.Dropdown(choices=names)
        if name in names
        else gr.Dropdown(choices=names, value=chosen.name if chosen else None),
        parts.beside: gr.Dropdown(choices=[other for other in names if chosen is None or other != chosen.name]),
        parts.table: [run_status.run_row(job) for job in jobs],
        parts.past: gr.Column(visible=bool(jobs)),
        parts.stages: gr.HTML(visible=not jobs),
        parts.seen: fingerprint,
    }


def _fault(text: str) -> str:
    return f"<p class='fault'>{html.escape(text)}</p>"


def _norms(job: TrainingJob | None) -> Any:
    return run_status.norm_plot(job) if job and not job.live else gr.skip()
