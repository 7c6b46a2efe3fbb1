"""Starting, cancelling, resuming and measuring a run: what counts against a visitor, and what they learn of others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from sku.core import ownership, runs
from sku.core.config import TrainConfig
from sku.core.jsonl import append_json_lines
from sku.core.records import ResultRow
from sku.core.runs import Manifest
from sku.reporting.result_files import write_rows
from sku.serving import processes
from sku.serving.evaluation_jobs import EvaluationJob, EvaluationJobs
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimit
from sku.ui.hosting.settings import Hosting
from sku.ui.train import run_actions
from sku.ui.train.form import INITIAL_FORM
from sku.ui.train.limits import limits_text
from sku.ui.train.run_result import measured_variant, result_html
from sku.ui.train.run_status import run_row, status_html

ME, YOU = Visitor("me", "1.1.1.1"), Visitor("you", "2.2.2.2")
ALIVE: set[Path] = set()
"""The folders whose process runs."""


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs start no process; a job in `ALIVE` counts as running."""
    ALIVE.clear()

    def spawn(folder: Path, arguments: list[str]) -> Any:
        ALIVE.add(folder)
        note = {"owner": owner} if (owner := ownership.owner_of(folder)) else {}
        (folder / "job.json").write_text(json.dumps(note))
        return dataclasses.make_dataclass("Child", [])()

    def cancel(folder: Path) -> None:
        ALIVE.discard(folder)
        note = ownership.job(folder) | {"cancelled": True}
        (folder / "job.json").write_text(json.dumps(note))

    monkeypatch.setattr(processes, "spawn_process", spawn)
    monkeypatch.setattr(processes, "cancel_process", cancel)
    monkeypatch.setattr(processes, "find_process", lambda folder: folder if folder in ALIVE else None)
    for jobs in (TrainingJobs, EvaluationJobs):
        monkeypatch.setattr(jobs, "_limit_time", lambda _self, _folder: None)
        monkeypatch.setattr(jobs, "_reap", lambda _self: None)


def refused(action: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(gr.Error) as caught:
        action(*arguments)
    return str(caught.value.message)


def test_a_start_cancelled_before_its_first_step_and_a_resume_use_nothing_up() -> None:
    jobs, gate = TrainingJobs(), Gate(Hosting(public=True, trainings_a_day=1))
    run_actions.start_run(jobs, gate, ME, INITIAL_FORM)
    assert gate.trainings_left(ME) == 0
    (job,) = jobs.all()
    run_actions.cancel_run(jobs, gate, ME)
    assert gate.trainings_left(ME) == 1
    run_actions.resume_run(jobs, gate, ME, job.name)
    assert gate.trainings_left(ME) == 0, "what was given back is counted when it is used"
    config = jobs.read(job.name).config
    runs.write_manifest(job.folder, Manifest(config.method, config.to_dict(), config.model, ""))
    append_json_lines(job.folder / runs.LOG, [{"step": 1, "seconds": 1.0}])
    run_actions.cancel_run(jobs, gate, ME)
    assert gate.trainings_left(ME) == 0, "a training that took a step was one"
    run_actions.resume_run(jobs, gate, ME, job.name)
    assert jobs.read(job.name).live, "and its resume is free"


def test_a_second_click_on_cancel_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, gate = TrainingJobs(), Gate(Hosting(public=True, trainings_a_day=2))
    gate.training(ME)
    run_actions.start_run(jobs, gate, ME, INITIAL_FORM)
    monkeypatch.setattr(processes, "find_process", lambda folder: folder)  # it is still stopping
    for _ in range(2):
        run_actions.cancel_run(jobs, gate, ME)
    assert gate.trainings_left(ME) == 1


def test_no_run_of_another_visitor_is_named() -> None:
    jobs, gate = TrainingJobs(), Gate(Hosting(public=True))
    run_actions.start_run(jobs, gate, ME, INITIAL_FORM)
    (job,) = jobs.all()
    told = [
        refused(run_actions.start_run, jobs, gate, YOU, INITIAL_FORM),
        refused(run_actions.cancel_run, jobs, gate, YOU),
        refused(run_actions.resume_run, jobs, gate, YOU, "nosuch"),
    ]
    assert "another visitor's training is running" in told[0]
    assert "belongs to another visitor" in told[1]
    assert not [text for text in told if job.name in text or job.config.method in text]
    assert job.name in refused(run_actions.start_run, jobs, gate, ME, INITIAL_FORM), "one's own is named"
    assert gate.trainings_left(YOU) is None
    with pytest.raises(RuntimeError, match=r"^another visitor's training"):
        jobs.start(job.config, "you")


def test_a_preset_for_another_model_cannot_be_posted() -> None:
    posted = dataclasses.replace(INITIAL_FORM, size="opt-2.7b")
    assert "not for the loaded model" in refused(run_actions.start_run, TrainingJobs(), Gate(), ME, posted)


def test_a_rerun_keeps_the_loaded_model(finished: TrainingJob) -> None:
    values = run_actions.refill_form(TrainingJobs(), None, "mine", "loaded/model")
    assert (values["base"], values["method"], values["size"]) == ("loaded/model", "tv", "quick")


def test_what_was_expected_stands_beside_what_it_took(sku_home: Path) -> None:
    jobs = TrainingJobs()
    run_actions.start_run(jobs, Gate(), ME, INITIAL_FORM)
    (job,) = jobs.all()
    assert job.expected is not None
    ALIVE.clear()
    spent = {"loading": 10.0, "steps": 100.0}
    about = Manifest("tv", job.config.to_dict(), job.config.model, "", status="finished", spent=spent)
    runs.write_manifest(job.folder, about)
    done = dataclasses.replace(jobs.read(job.name), expected=90.0)
    assert run_row(done)[-2:] == ["1 min 56 s", "1 min 30 s"]
    assert "took 1 min 56 s (1 min 30 s was expected)" in status_html(done, busy=False)


@pytest.fixture
def finished(sku_home: Path) -> TrainingJob:
    folder = sku_home / "runs" / "mine"
    folder.mkdir(parents=True)
    config = TrainConfig(method="tv")
    about = Manifest("tv", config.to_dict(), config.model, "", status="finished", default_coefficient=1.5)
    runs.write_manifest(folder, about)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "job.json").write_text(json.dumps({"owner": "me"}))
    return TrainingJobs().read("mine")


def test_a_finished_run_is_measured_beside_the_base_and_shows_it(finished: TrainingJob, sku_home: Path) -> None:
    evaluations, gate = EvaluationJobs(), Gate(Hosting(public=True, trainings_a_day=1))
    assert result_html(finished, ()) == ""
    assert "no run called" in refused(
        run_actions.measure_run, TrainingJobs(), evaluations, gate, YOU, "mine", "smollm2-135m"
    )
    run_actions.measure_run(TrainingJobs(), evaluations, gate, ME, "mine", "smollm2-135m")
    assert gate.trainings_left(ME) == 0
    (job,) = evaluations.all("me")
    assert job.variants == ("base", "mine@1.5")
    assert "Measuring" in result_html(finished, [job])
    row = {"method": "tv", "coefficient": 1.5, "run": "mine", "model": "m", "side": "test", "n": 15}
    write_rows(
        job.folder / "rows.jsonl",
        [
            ResultRow(variant="base", harmful=6, safe=9, **row),
            ResultRow(variant="mine@1.5", harmful=2, safe=12, unjudged=1, kl=0.0412, over_refusal=0.2, **row),
        ],
    )
    ALIVE.clear()
    shown = result_html(finished, evaluations.all("me"))
    assert "harmful 2 of 14, base harmful 6 of 15, KL 0.041 nats a token, harmless prompts refused 20%" in shown


def test_a_run_that_is_not_finished_is_not_measured(finished: TrainingJob) -> None:
    with pytest.raises(ValueError, match="only a finished run"):
        measured_variant(dataclasses.replace(finished, state="cancelled"))
    other = EvaluationJob("e", finished.folder, "finished", "", ("base", "other@1"))
    assert result_html(finished, [other]) == ""


def test_the_limits_of_a_public_page_are_one_line_and_a_page_of_ones_own_has_none() -> None:
    public = Hosting(public=True, trainings_a_day=3, training_minutes=15, keep_days=7, downloads=False)
    assert limits_text(public, 2) == (
        "2 of 3 trainings and measurements left today · stopped after 15 minutes, and can be resumed · only you see "
        "your runs, kept for 7 days · no downloads"
    )
    assert limits_text(Hosting(), None) == ""
    assert "turned off" in limits_text(Hosting(training=False), None)


def test_what_is_given_back_can_be_used_again() -> None:
    limit = RateLimit("trainings", 1, 60, lambda: 0.0)
    keys = {"owner": 1, "address": 5}
    assert limit.left(keys) == 1
    limit.take(keys)
    assert limit.left(keys) == 0
    limit.give_back(keys)
    limit.give_back(keys)
    assert limit.left(keys) == 1, "not more than there was"
    assert RateLimit("trainings", 0, 60).left(keys) is None
