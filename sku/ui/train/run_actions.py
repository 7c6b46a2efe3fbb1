"""What a visitor may do to trainings: start, cancel, resume, delete, download one, fill the form from one.

Every refusal is a sentence on the page; one that costs nothing is made before a visitor's budget is spent.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from sku.serving.training_jobs import TrainingJobs
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.train import form, run_status
from sku.ui.train.form import PRESET_NAMES, UPLOAD_LABEL, TrainForm

OFFERED_PRESETS = PRESET_NAMES[:3]
"""Presets that need no hub: all that strangers may start."""


def start_run(jobs: TrainingJobs, gate: Gate, who: Visitor, wanted: TrainForm) -> Any:
    """Train what the form says; an update of the list of runs."""
    try:
        if gate.hosting.public and wanted.size not in OFFERED_PRESETS:
            raise ValueError(f"preset {wanted.size!r} is not offered here; choose one of the list")
        for kind, chosen, path in (
            ("harmful", wanted.harmful, wanted.harmful_file),
            ("normal", wanted.normal, wanted.normal_file),
        ):
            if chosen == UPLOAD_LABEL:
                form.preview_file(kind, path)  # type: ignore[arg-type] # a file that cannot be read costs no training
        wanted.config()
        jobs.refuse_second()  # it costs no training either
        gate.training(who)
        job = jobs.start(wanted.config(keep=True), who.owner)
    except (ValueError, RuntimeError, OSError, RateLimited) as error:
        raise gr.Error(str(error), title="Not started") from error
    return gr.Dropdown(choices=[job.name for job in jobs.all(gate.owner(who))], value=job.name)


def cancel_run(jobs: TrainingJobs, owner: str | None) -> None:
    """Stop the run at work after its step, if it is theirs."""
    live = jobs.live()
    if live is None:
        raise gr.Error("No run is at work, so there is nothing to cancel.", title="Nothing to cancel")
    try:
        jobs.cancel(live.name, owner)
    except ValueError as error:
        raise gr.Error("The run at work is another visitor's; only they can cancel it.", title="Not yours") from error
    gr.Info(f"{live.name} stops after its current step and can be resumed.")


def resume_run(jobs: TrainingJobs, gate: Gate, who: Visitor, name: str | None) -> None:
    """Go on with a run that stopped."""
    try:
        jobs.read(name or "", gate.owner(who))
        jobs.refuse_second()
        gate.training(who)
        jobs.resume(name or "", gate.owner(who))
    except (ValueError, RuntimeError, OSError, RateLimited) as error:
        raise gr.Error(str(error), title="Not resumed") from error


def delete_run(jobs: TrainingJobs, owner: str | None, name: str) -> Any:
    """A run and its adapter; no run is chosen any more."""
    try:
        jobs.delete(name, owner)
    except (ValueError, RuntimeError, OSError) as error:
        raise gr.Error(str(error), title="Not deleted") from error
    return gr.Dropdown(value=None)


def download_run(jobs: TrainingJobs, gate: Gate, owner: str | None, name: str | None) -> Any:
    """The adapter and its card, packed."""
    try:
        gate.download()
        return gr.File(str(run_status.zip_adapter(jobs.read(name or "", owner))), visible=True)
    except (ValueError, OSError) as error:
        raise gr.Error(str(error), title="Not packed") from error


def refill_form(jobs: TrainingJobs, owner: str | None, name: str | None) -> dict[str, Any]:
    """Updates of all settings to what a run used, under the names of `TrainForm`'s fields."""
    try:
        found = form.form_of_config(jobs.read(name or "", owner).config)
    except ValueError as error:
        raise gr.Error(str(error), title="Nothing to fill in") from error
    values = dataclasses.asdict(found)
    for kind in ("harmful", "normal"):
        path = values[f"{kind}_file"]
        if path and Path(path).is_file():  # the page may show files of its own and the temporary folder only
            shown = Path(run_status.download_folder().name) / Path(path).name  # named by content: kept once
            values[f"{kind}_file"] = shutil.copyfile(path, shown)
        values[f"{kind}_file"] = gr.File(values[f"{kind}_file"], visible=values[kind] == UPLOAD_LABEL)
    return values
