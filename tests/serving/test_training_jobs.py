"""Trainings as child processes, and run folders as the only truth about them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sku.core import output_paths, runs, storage
from sku.core.config import TrainConfig
from sku.core.runs import Manifest
from sku.serving import training_jobs
from sku.serving.training_jobs import TrainingJob, TrainingJobs


@pytest.fixture
def config(pico_folder: Path, pairs_file: Path, normal_file: Path) -> TrainConfig:
    return TrainConfig(
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
        steps=3000,
        batch_size=2,
        rank=4,
        max_tokens=128,
        checkpoint_every=20,
    )


def wait(jobs: TrainingJobs, name: str, good: Callable[[TrainingJob], bool], seconds: float = 90) -> TrainingJob:
    deadline = time.monotonic() + seconds
    while not good(job := jobs.read(name)):
        assert time.monotonic() < deadline, f"{job.state}, step {job.step}: {job.message}"
        time.sleep(0.1)
    return job


def test_the_life_of_a_training(config: TrainConfig) -> None:
    jobs = TrainingJobs()
    assert jobs.live() is None
    started = jobs.start(config)
    assert started.state == "starting"
    with pytest.raises(RuntimeError, match=f"{started.name} is running; one training at a time"):
        jobs.start(config)
    with pytest.raises(RuntimeError, match="cancel it first"):
        jobs.delete(started.name)
    running = wait(jobs, started.name, lambda job: job.step > 30)
    assert running.state == "running"
    assert running.seconds_left is not None
    assert running.seconds_left > 0
    restarted = TrainingJobs()
    assert restarted.live() is not None, "a restarted app must find the training"
    restarted.cancel(started.name)
    cancelled = wait(restarted, started.name, lambda job: not job.live)
    assert cancelled.state == "cancelled"
    restarted.resume(started.name)
    wait(restarted, started.name, lambda job: job.step > cancelled.step)
    os.kill(json.loads((cancelled.folder / "job.json").read_text())["pid"], signal.SIGKILL)
    assert wait(restarted, started.name, lambda job: not job.live).state == "interrupted"
    shorter = runs.read_run(cancelled.folder).manifest
    step = restarted.read(started.name).step
    runs.write_manifest(cancelled.folder, dataclasses.replace(shorter, config=shorter.config | {"steps": step + 5}))
    restarted.resume(started.name)
    assert wait(restarted, started.name, lambda job: not job.live).state == "finished"
    assert [run.name for run in runs.own_runs()] == [started.name]
    with pytest.raises(ValueError, match="nothing to resume"):
        restarted.resume(started.name)
    restarted.delete(started.name)
    assert restarted.all() == []


def test_a_training_that_cannot_begin_says_why(config: TrainConfig) -> None:
    jobs = TrainingJobs()
    job = jobs.start(TrainConfig.from_dict(config.to_dict() | {"harmful": ["nowhere.jsonl"]}))
    failed = wait(jobs, job.name, lambda found: not found.live)
    assert failed.state == "failed"
    assert "nowhere.jsonl" in failed.message
    assert "Traceback" not in (failed.folder / "output.txt").read_text()


def test_a_training_cancelled_before_it_began_is_cancelled_and_can_begin_again(config: TrainConfig) -> None:
    jobs = TrainingJobs()
    job = jobs.start(config)
    jobs.cancel(job.name)
    assert wait(jobs, job.name, lambda found: not found.live).state == "cancelled"
    jobs.resume(job.name)
    assert wait(jobs, job.name, lambda found: found.step > 0).state == "running"
    jobs.cancel(job.name)
    assert wait(jobs, job.name, lambda found: not found.live).state == "cancelled"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "nosuch", "/etc", 3, None, ["x"], "x" * 70_000])
def test_names_that_are_no_run_are_refused(name: Any) -> None:
    """The page passes on what a script posted, of whatever type."""
    for action in (TrainingJobs().read, TrainingJobs().cancel, TrainingJobs().delete, TrainingJobs().resume):
        with pytest.raises(ValueError, match="there is no run called"):
            action(name)


def test_a_process_id_that_went_to_another_does_not_count(config: TrainConfig, sku_home: Path) -> None:
    folder = sku_home / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "job.json").write_text(json.dumps({"pid": os.getpid(), "created": 1.0}))
    assert TrainingJobs().read("old").state == "failed"
    assert TrainingJobs().live() is None


@pytest.mark.parametrize(
    ("file", "text"),
    [("config.json", "{"), ("config.json", '{"no_such": 1}'), ("config.json", '{"steps": "x"}'), ("run.json", "[]")],
)
def test_a_training_with_damaged_files_hides_no_other_and_can_be_deleted(
    file: str, text: str, config: TrainConfig, sku_home: Path
) -> None:
    for name in ("bad", "good"):
        folder = sku_home / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        (folder / "job.json").write_text(json.dumps({"pid": 2**22 + 1, "created": 1.0}))
    (sku_home / "runs" / "bad" / file).write_text(text)
    jobs = TrainingJobs()
    assert [job.name for job in jobs.all()] == ["good"]
    with pytest.raises(ValueError, match=rf"{file} cannot be read"):
        jobs.read("bad")
    jobs.delete("bad")
    assert not (sku_home / "runs" / "bad").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": "x", "created": 0}', '{"pid": 1}'])
def test_a_damaged_process_note_means_no_process(text: str, config: TrainConfig, sku_home: Path) -> None:
    folder = sku_home / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "job.json").write_text(text)
    assert TrainingJobs().read("old").state == "failed"


def manifest(**changes: Any) -> Manifest:
    return dataclasses.replace(Manifest("sku", {"seed": 3, "steps": 9}, "pico", "0123"), **changes)


def test_a_manifest_reads_back(tmp_path: Path) -> None:
    runs.write_manifest(tmp_path, manifest(status="failed", reason="because"))
    found = runs.read_run(tmp_path).manifest
    assert found == manifest(status="failed", reason="because")
    assert (found.seed, found.steps) == (3, 9)


def test_an_answer_with_a_line_separator_stays_one_line(tmp_path: Path) -> None:
    """`str.splitlines` would cut it in three."""
    line = {"probe": {"answer": "one\u2028two\u0085three"}}
    (tmp_path / "log.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    assert runs.read_log(tmp_path) == [line]


def test_a_log_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    assert runs.read_log(tmp_path) == [{"step": 1}]


def test_a_damaged_run_does_not_hide_the_others(sku_home: Path) -> None:
    for name in ("good", "bad"):
        (sku_home / "runs" / name).mkdir(parents=True)
    runs.write_manifest(sku_home / "runs" / "good", manifest())
    (sku_home / "runs" / "bad" / "run.json").write_text("{")
    assert [run.name for run in runs.own_runs()] == ["good"]
    with pytest.raises(ValueError, match=r"run\.json cannot be read"):
        runs.find_run("bad")


def test_an_unfinished_run_is_no_variant(sku_home: Path) -> None:
    (sku_home / "runs" / "half").mkdir(parents=True)
    runs.write_manifest(sku_home / "runs" / "half", manifest())
    with pytest.raises(ValueError, match="half is running and has no adapter yet"):
        runs.find_run("half")


def test_a_run_is_its_owners_alone(sku_home: Path, config: TrainConfig) -> None:
    jobs = TrainingJobs()
    for name, owner in (("mine", "me"), ("yours", "you"), ("nobodys", None)):
        folder = sku_home / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        (folder / "job.json").write_text(json.dumps({"owner": owner} if owner else {}))
    assert [job.name for job in jobs.all("me")] == ["mine"]
    assert len(jobs.all()) == 3
    for call in (jobs.read, jobs.resume, jobs.cancel, jobs.delete):
        for name in ("yours", "nobodys", "../runs/mine"):
            with pytest.raises(ValueError, match="no run called"):
                call(name, "me")
    jobs.delete("mine", "me")
    assert not (sku_home / "runs" / "mine").exists()
    assert (sku_home / "runs" / "yours").is_dir()


def test_a_training_whose_time_is_up_is_cancelled_and_can_be_resumed(config: TrainConfig) -> None:
    jobs = TrainingJobs(minutes=0.1)
    name = jobs.start(TrainConfig.from_dict(config.to_dict() | {"steps": 100_000}), "me").name
    job = wait(jobs, name, lambda job: not job.live)
    assert job.state == "cancelled"
    assert jobs.read(name, "me").name == name


def test_the_timer_of_a_training_goes_when_it_ends(config: TrainConfig) -> None:
    """A timer is a thread: those of many short trainings would wait together for the end of their time."""
    jobs = TrainingJobs(minutes=10)

    def timers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]

    before = set(timers())
    name = jobs.start(dataclasses.replace(config, steps=3), "me").name
    assert set(timers()) - before
    wait(jobs, name, lambda job: not job.live)
    deadline = time.monotonic() + 30  # the process may live a moment longer than its run
    while set(timers()) - before and time.monotonic() < deadline:
        jobs.all()
        time.sleep(0.05)
    assert not set(timers()) - before


def test_a_restarted_app_still_ends_a_training_whose_time_is_up(config: TrainConfig) -> None:
    name = TrainingJobs().start(TrainConfig.from_dict(config.to_dict() | {"steps": 100_000}), "me").name
    assert wait(TrainingJobs(minutes=0.01), name, lambda job: not job.live).state == "cancelled"


def test_what_a_visitor_left_long_ago_goes_and_nothing_else_does(sku_home: Path, config: TrainConfig) -> None:
    storage.uploads().mkdir(parents=True)
    uploads = [storage.uploads() / name for name in ("used.csv", "left.csv", "fresh.csv")]
    for file, days in zip(uploads, (8, 8, 6), strict=True):
        file.write_text("prompt,answer\n")
        os.utime(file, (time.time() - days * 86_400,) * 2)
    config = dataclasses.replace(config, normal=(str(uploads[0]),))
    for name, owner, days in (("old", "me", 8), ("new", "me", 6), ("ours", None, 8)):
        folder = sku_home / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
        (folder / "job.json").write_text(json.dumps({"owner": owner} if owner else {}))
        for file in folder.iterdir():
            os.utime(file, (time.time() - days * 86_400,) * 2)
    jobs = TrainingJobs(days=7)
    assert len(jobs.all()) == 3, "looking deletes nothing"
    jobs.cancel(jobs.start(config, "you").name)
    assert not (sku_home / "runs" / "old").exists()
    assert (sku_home / "runs" / "new").is_dir()
    assert (sku_home / "runs" / "ours").is_dir()
    assert [file.name for file in uploads if file.is_file()] == ["used.csv", "fresh.csv"]


def test_a_full_disk_is_said_before_a_training_starts(sku_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(free=100 * 10**6)
    monkeypatch.setattr(output_paths.shutil, "disk_usage", lambda _: room)
    with pytest.raises(OSError, match=r"SKU_HOME .* needs about 500 MB, but 100 MB are free"):
        training_jobs.check_room()
    room.free = 600 * 10**6
    training_jobs.check_room()


def test_a_home_that_cannot_be_written_is_said_even_to_an_administrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`os.access` tells an administrator that everything can be written; a file in the way cannot."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKU_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(OSError, match=r"SKU_HOME .* cannot be written .*is a file"):
        training_jobs.check_room()


def test_a_name_of_5000_characters_is_no_run(sku_home: Path) -> None:
    with pytest.raises(ValueError, match="no run called"):
        training_jobs.TrainingJobs().read("x" * 5000)
