"""What every kind of job has: one at a time, owners, states from the folder alone; and idle ticks that open no file."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Manifest
from sku.serving import processes
from sku.serving.evaluation_jobs import EvaluationJobs
from sku.serving.jobs import Job, JobManager, JobState
from sku.serving.training_jobs import TrainingJobs
from sku.serving.variant_catalog import list_variants
from tests.opened_files import opened_files


class HelpJobs(JobManager[Job]):
    """A third kind of job: it prints the help of a command, or fails."""

    kind, noun, parent = "help", "help page", "helps"

    def start(self, command: str, owner: str | None = None) -> Job:
        return self._start(command, {"command.txt": command}, owner)

    def _read(self, folder: Path) -> Job:
        message = processes.last_output_line(folder)
        done: JobState = "finished" if "--help" in message else "failed"
        return Job(folder.name, folder, "running" if processes.find_process(folder) else done, message)

    def _arguments(self, folder: Path, resumed: bool) -> list[str]:
        return [(folder / "command.txt").read_text(), "--help"]


def ended(jobs: HelpJobs, name: str) -> Job:
    deadline = time.monotonic() + 60
    while (job := jobs.read(name)).live:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job


def test_a_new_kind_of_job_says_what_runs_and_what_its_folder_means(sku_home: Path) -> None:
    jobs = HelpJobs()
    first = jobs.start("models", "me")
    with pytest.raises(RuntimeError, match=f"help page {first.name} is running; one help at a time"):
        jobs.start("models")
    with pytest.raises(RuntimeError, match=r"^another visitor's help is running, and only one"):
        jobs.start("models", "you")
    with pytest.raises(ValueError, match=r"^the running help belongs to another visitor"):
        jobs.cancel_live("you")
    assert ended(jobs, first.name).state == "finished"
    second = jobs.start("nosuch", "you")
    assert first.folder.parent == sku_home / "helps"
    assert ended(jobs, second.name).state == "failed"
    assert [job.name for job in jobs.all("me")] == [first.name]
    with pytest.raises(ValueError, match="no help is running"):
        jobs.cancel_live()
    with pytest.raises(ValueError, match="there is no help page called"):
        jobs.delete(first.name, "you")
    with pytest.raises(ValueError, match="is finished; there is nothing to resume"):
        jobs.resume(first.name, "me")
    jobs.delete(first.name, "me")
    assert [job.name for job in jobs.all()] == [second.name]


def test_two_jobs_of_one_second_have_two_folders(sku_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    jobs = HelpJobs()
    names = []
    for _ in range(3):
        names.append(jobs.start("models").name)
        ended(jobs, names[-1])
    assert names == ["20260101-000000-models", "20260101-000000-models-2", "20260101-000000-models-3"]


@pytest.fixture
def filled(sku_home: Path) -> Path:
    """A home with a run, a finished evaluation, and what their processes left."""
    run, evaluation = sku_home / "runs" / "mine", sku_home / "evaluations" / "one"
    config = TrainConfig()
    for folder in (run, evaluation):
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps({"owner": "me"}))
        (folder / "output.txt").write_text("writing\n")
    (run / "adapter").mkdir()
    (run / "config.json").write_text(json.dumps(config.to_dict()))
    (run / "log.jsonl").write_text('{"step": 1, "seconds": 0.5}\n')
    runs.write_manifest(run, Manifest("sku", config.to_dict(), config.model, "0123", status="finished"))
    (evaluation / "evaluation.json").write_text(json.dumps({"variants": ["base", "sku@1"], "limit": 5}))
    (evaluation / "rows.jsonl").write_text("")
    return sku_home


def test_a_tick_without_a_change_opens_no_file(filled: Path) -> None:
    trainings, evaluations = TrainingJobs(), EvaluationJobs()

    def tick() -> tuple[object, ...]:
        live = trainings.live(), evaluations.live()
        return trainings.all("me"), evaluations.all("me"), list_variants("me"), list_variants(), live

    with opened_files(filled) as at_home:
        first = tick()
    assert len(at_home) == len(set(at_home)) == 8, "in one tick every file is opened once"
    with opened_files(filled) as at_home, opened_files(runs.SHIPPED_ADAPTERS) as shipped:
        assert tick() == first
    assert (at_home, shipped) == ([], [])


def test_a_tick_after_a_change_sees_it_and_opens_what_changed_alone(filled: Path) -> None:
    trainings, run = TrainingJobs(), filled / "runs" / "mine"
    assert trainings.all()[0].step == 1
    assert list_variants()[-1].default_coefficient == 1
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "seconds": 0.5}\n')
    with opened_files(filled) as opened:
        assert trainings.all()[0].step == 2
    assert opened == [str(run / "log.jsonl")]
    manifest = runs.read_run(run).manifest
    runs.write_manifest(run, dataclasses.replace(manifest, default_coefficient=2.5))
    with opened_files(filled) as opened:
        assert list_variants()[-1].default_coefficient == 2.5
    assert opened == [str(run / "run.json")]
    assert [entry.name for entry in list_variants("me") if entry.name == "mine"] == ["mine"]
    (run / "job.json").write_text(json.dumps({"owner": "you"}))
    assert [entry.name for entry in list_variants("me") if entry.name == "mine"] == []
