"""The event handlers of Pipeline: each takes the values of components and returns updates. `tab.py` wires them."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.records import PairKind
from sku.core.run_names import given_name
from sku.serving.evaluation_jobs import EvaluationJob, EvaluationJobs
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.events import UNCHANGED, Updates, Values, chosen_texts
from sku.ui.hosting.access import Access
from sku.ui.train import form, own_file, run_actions, run_result, run_status, runs_table
from sku.ui.train.form import UPLOAD_LABEL
from sku.ui.train.form_layout import OrderForm
from sku.ui.train.limits import limits_text
from sku.ui.train.run_layout import OPEN_LABEL, RunPanel


class FormHandlers:
    """Handlers that update the estimate and the preview of an own file when the settings change."""

    def __init__(self, components: OrderForm) -> None:
        self.components = components

    def estimate(self, values: Values) -> str:
        """The time and memory to expect."""
        return form.estimate_text(self.components.form.read(values))

    def show_own_file(self, kind: PairKind) -> Callable[[Values], Updates]:
        """Return a handler that shows the upload and its lists of columns if own data of one kind are chosen."""
        parts, settings = self.components, self.components.form
        file, lists = settings.file(kind), settings.column_lists(kind)

        def show(values: Values) -> Updates:
            chosen = {"harmful": values[settings.harmful], "normal": values[settings.normal]}
            own = chosen[kind] == UPLOAD_LABEL
            return {
                file: gr.File(visible=own),
                parts.own_file.panel: gr.Column(visible=UPLOAD_LABEL in chosen.values()),
                **{one: gr.Dropdown(visible=own and bool(values[file])) for one in lists},
            }

        return show

    def preview(self, kind: PairKind) -> Callable[[Values], Updates]:
        """Return a handler that shows the first rows of an uploaded file, or what is wrong with it."""
        settings = self.components.form
        file, (prompts, answers) = settings.file(kind), settings.column_lists(kind)

        def preview(values: Values) -> Updates:
            if not values[file]:
                return UNCHANGED
            return self._previewed(kind, values, values[prompts], values[answers])

        return preview

    def upload(self, kind: PairKind) -> Callable[[Values], Updates]:
        """Return a handler that also fills the two lists of columns, when another file came."""
        settings = self.components.form
        file, (prompts, answers) = settings.file(kind), settings.column_lists(kind)

        def upload(values: Values) -> Updates:
            path = values[file]
            try:
                columns = own_file.file_columns(kind, path, values[prompts], values[answers]) if path else None
            except (ValueError, OSError):  # the preview says what is wrong
                columns = None
            if columns is None:
                hidden = gr.Dropdown(choices=[], value=None, visible=False)
                return {**self._previewed(kind, values), prompts: hidden, answers: hidden}
            names = list(columns.names)
            return {
                **self._previewed(kind, values, columns.prompt, columns.answer),
                prompts: gr.Dropdown(choices=names, value=columns.prompt, visible=True),
                answers: gr.Dropdown(choices=names, value=columns.answer, visible=True),
            }

        return upload

    def _previewed(
        self, kind: PairKind, values: Values, prompt: str | None = None, answer: str | None = None
    ) -> Updates:
        parts, settings = self.components.own_file, self.components.form
        try:
            found = own_file.preview_file(kind, values[settings.file(kind)], prompt, answer, values[settings.all_rows])
        except (ValueError, OSError) as error:
            return {parts.note: _fault(str(error)), parts.table: gr.Dataframe(visible=False)}
        note = f"<p>{html.escape(found.summary)}</p>" if found.summary else ""
        note += _fault(found.fault) if found.fault else ""
        table = {"headers": found.headers, "data": found.rows} if found.rows else None
        return {parts.note: note, parts.table: gr.Dataframe(table, visible=table is not None)}


class RunHandlers:
    """Handlers that start, watch and use runs."""

    def __init__(
        self, ordered: OrderForm, runs: RunPanel, access: Access, trainings: TrainingJobs, evaluations: EvaluationJobs
    ) -> None:
        self.settings, self.runs, self.access = ordered.form, runs, access
        self.trainings, self.evaluations = trainings, evaluations

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Update everything that shows runs, but only if something has changed, so that the page does not flicker."""
        gate, visitor = self.access.gate, self.access.visitor(request)
        owner = gate.owner(visitor)
        return look_at_runs(
            self.runs,
            self.trainings.all(owner),
            RunView(
                name=values[self.runs.run],
                beside=tuple(chosen_texts(values[self.runs.beside])),
                seen=values[self.runs.seen],
                busy=owner is not None and self.trainings.live() is not None,
                limits=limits_text(gate.hosting, gate.trainings_left(visitor)),
                evaluations=tuple(self.evaluations.all(owner)),
                measuring=self._cost_of_measuring(),
                downloads=gate.hosting.downloads,
            ),
        )

    def measure(self, request: gr.Request, name: str | None) -> None:
        """Measure the chosen run."""
        gate, visitor, model = self.access.gate, self.access.visitor(request), self.access.session.model_name
        run_actions.measure_run(self.trainings, self.evaluations, gate, visitor, name, model)

    def _cost_of_measuring(self) -> float | None:
        return self.evaluations.cost(1, run_result.PROMPTS, self.access.session.model_name).seconds

    def start(self, request: gr.Request, values: Values) -> str:
        """Start the training that the form describes, and choose it."""
        filled = self.settings.read(values)
        return run_actions.start_run(self.trainings, self.access.gate, self.access.visitor(request), filled)

    def cancel(self, request: gr.Request) -> None:
        """Cancel the training that is running."""
        run_actions.cancel_run(self.trainings, self.access.gate, self.access.visitor(request))

    def resume(self, request: gr.Request, name: str | None) -> None:
        """Resume a run that stopped."""
        run_actions.resume_run(self.trainings, self.access.gate, self.access.visitor(request), name)

    def rename(self, request: gr.Request, event: gr.EventData) -> None:
        """Give a run the name that the visitor wrote in its row."""
        run, name = runs_table.sent_run(event), runs_table.sent_name(event)
        run_actions.name_run(self.trainings, self.access.owner(request), run, name)

    def delete(self, request: gr.Request, name: str | None) -> str:
        """Delete a run, and clear the choice of a run."""
        run_actions.delete_run(self.trainings, self.access.owner(request), name or "")
        return ""

    def download(self, request: gr.Request, name: str | None) -> Any:
        """Offer a run's adapter for download, as a zip file."""
        return run_actions.download_run(self.trainings, self.access.gate, self.access.owner(request), name)

    def rerun(self, request: gr.Request, name: str | None) -> Updates:
        """Fill the form with a run's settings."""
        base = self.access.session.model_name
        filled = run_actions.refill_form(self.trainings, self.access.owner(request), name, base)
        return {self.settings.by_name[field]: value for field, value in filled.items()}


@dataclass(frozen=True)
class RunView:
    """What decides how the runs are shown, besides the runs themselves."""

    name: str | None = None
    """The chosen run. Without one, the run in progress or else the newest is shown."""
    beside: tuple[str, ...] = ()
    """The names of runs to compare it with."""
    seen: str = ""
    """The fingerprint of what the page shows now."""
    busy: bool = False
    """Whether a training is running, which may be another visitor's."""
    limits: str = ""
    evaluations: tuple[EvaluationJob, ...] = ()
    """The visitor's, newest first."""
    measuring: float | None = None
    """The seconds that measuring a run takes; None if that is not known."""
    downloads: bool = True
    """Whether the page lets adapters be downloaded."""


def look_at_runs(parts: RunPanel, jobs: Sequence[TrainingJob], view: RunView) -> Updates:
    """Updates of everything that shows runs; none if the page is up to date.

    Args:
        parts: the components.
        jobs: the runs that the visitor may see, newest first.
        view: how to show them.
    """
    live = next((job for job in jobs if job.live), None)
    chosen = next((job for job in jobs if job.name == view.name), live or (jobs[0] if jobs else None))
    others_run = view.busy and live is None
    result = run_result.result_html(chosen, view.evaluations)
    states = "|".join(f"{job.name} {given_name(job.folder)} {job.state} {job.step}" for job in jobs)
    said = f"{chosen.message} {len(chosen.probes)}" if chosen else ""
    fingerprint = f"{states}|{view.name}|{view.beside}|{others_run}|{said}|{view.limits}|{result}"
    if fingerprint == view.seen:
        return {parts.seen: view.seen}
    return {
        parts.limits: gr.HTML(view.limits, visible=bool(view.limits)),
        parts.status: run_status.status_html(chosen, others_run),
        parts.cancel: gr.Button("Cancel", visible=live is not None),
        parts.result: result,
        parts.probes: run_status.probe_table(chosen),
        parts.norms: _norms(chosen),
        parts.table: runs_table.runs_value(jobs, chosen, view.downloads),
        parts.past: gr.Column(visible=bool(jobs)),
        parts.stages: gr.HTML(visible=not jobs),
        parts.seen: fingerprint,
        **_finished_buttons(parts, chosen, view),
        **_lists_and_curves(parts, jobs, chosen, view),
    }


def _finished_buttons(parts: RunPanel, chosen: TrainingJob | None, view: RunView) -> Updates:
    """The buttons of a finished run. A button that was hidden needs its text again."""
    done = chosen is not None and chosen.state == "finished"
    time = f" (about {run_status.duration(view.measuring)})" if view.measuring else ""
    return {
        parts.open: gr.Button(OPEN_LABEL, visible=done),
        parts.measure: gr.Button(f"Measure{time}", visible=done),
    }


def _lists_and_curves(
    parts: RunPanel, jobs: Sequence[TrainingJob], chosen: TrainingJob | None, view: RunView
) -> Updates:
    names = [job.name for job in jobs]
    others = [(given_name(job.folder) or job.name, job.name) for job in jobs if job != chosen]
    curves = run_status.loss_plot(chosen, [job for job in jobs if job.name in view.beside and job != chosen])
    return {
        parts.curves: gr.Plot(curves, visible=True) if chosen and chosen.lines else gr.Plot(visible=False),
        # a valid choice is not sent back: the visitor may have chosen another run in the meantime
        parts.run: gr.skip() if view.name in names else chosen.name if chosen else "",
        parts.beside: gr.Dropdown(choices=others, visible=bool(others)),
    }


def _fault(text: str) -> str:
    return f"<p class='fault'>{html.escape(text)}</p>"


def _norms(job: TrainingJob | None) -> Any:
    return run_status.norm_plot(job) if job and not job.live else gr.skip()
