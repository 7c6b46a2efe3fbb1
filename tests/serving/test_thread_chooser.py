"""How many threads a page computes with: measured, one beside a job, and measured again when answers become slow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from sku.core.compute_threads import last_choice
from sku.models.variant_model import VariantModel
from sku.serving import processes
from sku.serving.thread_chooser import ThreadChooser, base_seconds_per_token


class Machine:
    """Four processors, and how long a token takes with so many threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, one: float, four: float) -> None:
        self.threads, self.seconds, self.job, self.now, self.measured = 4, {1: one, 4: four}, False, 0.0, 0
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda threads: setattr(self, "threads", threads))

    def token(self) -> float:
        self.measured += 1
        return self.seconds[self.threads]

    def chooser(self) -> ThreadChooser:
        return ThreadChooser(self.token, lambda: self.job, lambda: self.now)


@pytest.mark.parametrize(("one", "four", "wanted"), [(0.03, 0.01, 4), (0.03, 0.12, 1)])
def test_the_faster_number_is_chosen_and_told(
    monkeypatch: pytest.MonkeyPatch, sku_home: Path, one: float, four: float, wanted: int
) -> None:
    machine = Machine(monkeypatch, one, four)
    machine.chooser().before_question()
    assert machine.threads == wanted
    choice = last_choice()
    assert choice is not None
    assert (choice.threads, choice.most, choice.seconds_per_token) == (wanted, 4, {1: one, 4: four})


def test_beside_a_job_one_thread_computes_and_after_it_all_of_them(
    monkeypatch: pytest.MonkeyPatch, sku_home: Path
) -> None:
    machine = Machine(monkeypatch, 0.03, 0.01)
    chooser = machine.chooser()
    for job, threads in ((False, 4), (True, 1), (False, 4)):
        machine.job = job
        chooser.before_question()
        assert machine.threads == threads
    assert machine.measured == 2, "at load time only: a job is known, so nothing needs to be measured"


def test_slow_answers_are_measured_again_and_a_free_machine_is_found_again(
    monkeypatch: pytest.MonkeyPatch, sku_home: Path
) -> None:
    machine = Machine(monkeypatch, 0.03, 0.01)
    chooser = machine.chooser()
    machine.seconds = {1: 0.03, 4: 0.2}  # a neighbour came
    chooser.after_answer(3, 32, 1.0)
    chooser.after_answer(3, 32, 1.9)
    machine.now = 61.0
    chooser.before_question()
    assert (machine.threads, machine.measured) == (4, 2), "not yet half as fast"
    chooser.after_answer(6, 32, 9.0)
    chooser.after_answer(3, 4, 9.0)
    chooser.before_question()
    assert machine.measured == 2, "six columns are slower than three, and four tokens say nothing"
    chooser.after_answer(3, 32, 2.1)
    chooser.before_question()
    assert (machine.threads, machine.measured) == (1, 4)
    machine.seconds = {1: 0.03, 4: 0.01}  # it went
    machine.now += 599
    chooser.before_question()
    assert machine.threads == 1
    machine.now += 2
    chooser.before_question()
    assert machine.threads == 4


def test_one_processor_leaves_nothing_to_choose(monkeypatch: pytest.MonkeyPatch, sku_home: Path) -> None:
    machine = Machine(monkeypatch, 0.03, 0.01)
    machine.threads = 1
    machine.chooser().before_question()
    assert (machine.threads, machine.measured, last_choice()) == (1, 0, None)


def test_a_token_is_timed_on_the_model(pico: VariantModel) -> None:
    assert 0 < base_seconds_per_token(pico) < 5


@pytest.mark.parametrize("folder", ["runs/a", "evaluations/a", "attacks/jobs/a"])
def test_a_job_of_any_kind_is_seen_while_it_runs(sku_home: Path, folder: str) -> None:
    job = sku_home / folder
    job.mkdir(parents=True)
    work = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    note = {"pid": work.pid, "created": psutil.Process(work.pid).create_time()}
    (job / "job.json").write_text(json.dumps(note))
    assert processes.any_job_runs()
    work.communicate(b"\n")
    assert not processes.any_job_runs()
