"""What a visitor can do with trainings: start, cancel, resume, delete, download, and reuse the settings of one.

The page shows every refusal as a sentence. All checks that need no budget come before the rate limit is charged.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from sku.serving import processes
from sku.serving.estimates import estimate_training
from sku.serving.evaluation_jobs import EvaluationJobs
from sku.serving.training_jobs import TrainingJobs, check_room
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import inform, refusal
from sku.ui.train import form, own_file, run_result, run_status
from sku.ui.train.form import UPLOAD_LABEL, TrainForm


def start_run(jobs: TrainingJobs, gate: Gate, visitor: Visitor, filled: TrainForm) -> Any:
    """Start the training that the form describes, and return an update of the list of runs."""
    try:
        if filled.size not in form.offered_presets(filled.base):
            raise ValueError(
                f"preset {filled.size!r} is not for the loaded model {filled.base}; choose one of the list"
            )
        for kind, (path, prompt, answer) in filled.own_files.items():
            own_file.check_file(
                kind, path, prompt, answer, filled.all_rows
            )  # an unusable file must not count as a training
        expected = estimate_training(filled.config()).seconds
        jobs.refuse_second(gate.owner(visitor))  # nor must a refusal because another training is running
        check_room()  # nor must a full disk
        gate.training(visitor)
        job = jobs.start(filled.config(keep=True), visitor.owner, expected)
    except (ValueError, RuntimeError, OSError, RateLimited) as error:
        raise refusal(error, "Not started") from error
    return gr.Dropdown(choices=[job.name for job in jobs.all(gate.owner(visitor))], value=job.name)


def cancel_run(jobs: TrainingJobs, gate: Gate, visitor: Visitor) -> None:
    """Stop the visitor's running training after its current step. One that took no step is not counted."""
    live = jobs.live()
    first = live is not None and not processes.was_cancelled(live.folder)  # a second click gives nothing back
    try:
        jobs.cancel_live(gate.owner(visitor))
    except ValueError as error:
        raise refusal(error, "Not cancelled") from error
    if live is None:  # it ended meanwhile
        return
    if first and live.step == 0:
        gate.give_training_back(visitor)
    inform(f"{live.name} will stop after its current step. You can resume it later.")


def resume_run(jobs: TrainingJobs, gate: Gate, visitor: Visitor, name: str | None) -> None:
    """Resume a run that stopped. It is not counted again, unless its start was given back when it was cancelled."""
    try:
        job = jobs.read(name or "", gate.owner(visitor))
        jobs.refuse_second(gate.owner(visitor))
        given_back = job.state == "cancelled" and job.step == 0
        (gate.training if given_back else gate.may_train)(visitor)
        jobs.resume(job.name, gate.owner(visitor))
    except (ValueError, RuntimeError, OSError, RateLimited) as error:
        raise refusal(error, "Not resumed") from error


def measure_run(
    jobs: TrainingJobs, evaluations: EvaluationJobs, gate: Gate, visitor: Visitor, name: str | None, model: str
) -> None:
    """Measure a finished run at its recommended coefficient, beside the base."""
    try:
        job = jobs.read(name or "", gate.owner(visitor))
        variant = run_result.measured_variant(job)
        evaluations.refuse_second(gate.owner(visitor))
        gate.training(visitor)
        evaluations.start([variant], run_result.PROMPTS, visitor.owner, model)
    except (ValueError, RuntimeError, OSError, RateLimited) as error:
        raise refusal(error, "Not measured") from error


def delete_run(jobs: TrainingJobs, owner: str | None, name: str) -> Any:
    """Delete a run and its adapter, and return an update that clears the choice of a run."""
    try:
        jobs.delete(name, owner)
    except (ValueError, RuntimeError, OSError) as error:
        raise refusal(error, "Not deleted") from error
    return gr.Dropdown(value=None)


def download_run(jobs: TrainingJobs, gate: Gate, owner: str | None, name: str | None) -> Any:
    """A download of a run's adapter and its card, as a zip file."""
    try:
        gate.download()
        return gr.File(str(run_status.zip_adapter(jobs.read(name or "", owner))), visible=True)
    except (ValueError, OSError) as error:
        raise refusal(error, "Not downloaded") from error


def refill_form(jobs: TrainingJobs, owner: str | None, name: str | None, base: str) -> dict[str, Any]:
    """Updates that fill in a run's settings, by the names of `TrainForm`'s fields. The loaded base stays."""
    try:
        filled = form.form_of_config(dataclasses.replace(jobs.read(name or "", owner).config, model=base))
    except ValueError as error:
        raise refusal(error, "Form not filled in") from error
    values = dataclasses.asdict(filled)
    for kind in ("harmful", "normal"):
        path = values[f"{kind}_file"]
        if path and Path(path).is_file():  # gradio serves only its own files and files in the temporary folder
            shown = Path(run_status.download_folder().name) / Path(path).name  # the name is a hash of the content
            values[f"{kind}_file"] = shutil.copyfile(path, shown)
        values[f"{kind}_file"] = gr.File(values[f"{kind}_file"], visible=values[kind] == UPLOAD_LABEL)
        for column in (f"{kind}_prompt", f"{kind}_answer"):  # the new file brings their lists, and keeps these values
            values[column] = gr.Dropdown(values[column], choices=[values[column]] if values[column] else [])
    return values
