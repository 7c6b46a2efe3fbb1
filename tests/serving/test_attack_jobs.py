"""Attacks that a visitor starts: one at a time, each its owner's, cost said first, progress with the time left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sku.models.pretrained import DEFAULT_BASE
from sku.serving import processes
from sku.serving.attack_jobs import AttackJobs
from tests.serving.test_evaluation_jobs import Ended


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every process that would have been started."""
    found: list[list[str]] = []

    def spawn(folder: Path, arguments: Sequence[str]) -> Ended:
        found.append(list(arguments))
        return Ended()

    monkeypatch.setattr(processes, "spawn_process", spawn)
    return found


def made(home: Path, name: str, note: dict[str, object] | None = None, **about: object) -> Path:
    """A job's folder, as if it had been started."""
    folder = home / "attacks" / "jobs" / name
    folder.mkdir(parents=True)
    request = {"variants": ["ga@1", "sku@1"], "kinds": ["int4", "leak-8"], "limit": 10} | about
    (folder / "attack.json").write_text(json.dumps(request))
    (folder / "job.json").write_text(json.dumps(note or {}))
    return folder


def running(home: Path, output: str, **about: object) -> Path:
    """A job whose process is this one."""
    me = psutil.Process()
    folder = made(home, "1", {"pid": me.pid, "created": me.create_time()}, **about)
    (folder / "output.txt").write_text(output)
    return folder


def test_bounds_are_checked_before_anything_starts(sku_home: Path, started: list[list[str]]) -> None:
    jobs = AttackJobs()
    for variants, kinds, limit, said in (
        ([], ["default"], 10, "0 variants besides base"),
        (["base"], ["default"], 10, "0 variants besides base"),
        ([f"ga@{i}" for i in range(7)], ["default"], 10, "7 variants besides base"),
        (["ga@1"], [], 10, "no attack is chosen"),
        (["ga@1"], ["none"], 10, "no attack is chosen"),
        (["ga@1"], ["--out"], 10, "attack '--out' is not known"),
        (["ga@1"], ["default"], 41, "41 prompts"),
        (["ga@1"], ["default"], 3, "3 prompts"),
    ):
        with pytest.raises(ValueError, match=said):
            jobs.start(variants, kinds, limit)
    assert started == []
    assert not (sku_home / "attacks").exists()


def test_what_is_run_is_what_was_ordered(sku_home: Path, started: list[list[str]]) -> None:
    jobs = AttackJobs()
    name = jobs.start(["sku@1", "base", "ga", "ga"], ["default", "int8"], 12, "me", "some/other").name
    jobs.resume(name, "me")
    first, second = started
    assert first == second, "a resumed measurement continues the same one"
    assert first[:3] == ["attack", "--out", str(sku_home / "attacks" / "jobs" / name / "rows.jsonl")]
    told = list(pairwise(first))
    assert [value for flag, value in told if flag == "--variant"] == ["sku@1", "ga"]
    assert [value for flag, value in told if flag == "--kind"] == ["default", "int8"]
    assert ("--limit", "12") in told
    assert ("--model", "some/other") in told


def test_jobs_are_their_owners_and_say_what_became_of_them(sku_home: Path) -> None:
    (made(sku_home, "1", {"owner": "me"}) / "rows.jsonl").write_text("")
    made(sku_home, "2", {"owner": "you", "cancelled": True})
    (made(sku_home, "3", {"owner": "me"}) / "output.txt").write_text("Round: int4\nerror: no room\n")
    jobs = AttackJobs()
    assert [(job.name, job.state) for job in jobs.all()] == [("3", "failed"), ("2", "cancelled"), ("1", "finished")]
    assert [job.name for job in jobs.all("me")] == ["3", "1"]
    assert jobs.read("3").message == "error: no room"
    assert jobs.read("3").seconds_left is None, "what does not run has no time left"
    with pytest.raises(ValueError, match="no measurement called"):
        jobs.cancel("2", "me")
    with pytest.raises(ValueError, match="is finished"):
        jobs.resume("1", "me")


def test_a_damaged_order_hides_no_other(sku_home: Path) -> None:
    made(sku_home, "good")
    made(sku_home, "unknown", kinds=["tomorrow"])
    made(sku_home, "wrong", variants="ga@1")
    jobs = AttackJobs()
    assert [job.name for job in jobs.all()] == ["good"]
    for name in ("unknown", "wrong"):
        with pytest.raises(ValueError, match=r"attack\.json cannot be read"):
            jobs.read(name)


def test_the_cost_counts_every_answer_the_controls_included(sku_home: Path) -> None:
    jobs = AttackJobs()
    assert jobs.cost(1, ["int4"], 10).answers == 3 * 10 * 2, (
        "base, the variant and the random vector; with no attack too"
    )
    assert jobs.cost(1, ["leak-8"], 10).answers == 3 * (10 + 5 * 8)
    assert jobs.cost(1, ["leak-8"], 40).answers == 3 * (40 + 20 * 8), "samples are drawn for 20 prompts"
    assert jobs.cost(1, ["probe"], 10).answers == 3 * 10, "a probe draws no answers"
    assert jobs.cost(1, ["int4"], 10_000).answers < 3 * 200, "no prompt is asked twice"
    more = jobs.cost(1, ["relearn-10"], 10).seconds
    assert more is not None
    assert more > (jobs.cost(1, ["prefill-10"], 10).seconds or 0), "training takes longer than asking"
    assert "no measurement has finished" in jobs.cost(1, ["int4"], 10).source
    assert jobs.cost(1, ["int4"], 10, "some/other").seconds is None


def test_the_time_is_that_of_this_machine_once_one_ran_through(sku_home: Path) -> None:
    jobs, ended = AttackJobs(), time.time()
    usual = jobs.cost(2, ["int4", "leak-8"], 10).seconds
    default = jobs.cost(3, ["default"], 20).seconds
    assert usual is not None
    assert default is not None
    for name, began in (("1", ended - 3 * usual), ("2", None)):
        rows = made(sku_home, name, model=DEFAULT_BASE, began=began) / "rows.jsonl"
        rows.write_text("")
        os.utime(rows, (ended, ended))
    found = jobs.cost(3, ["default"], 20)
    assert found.seconds == pytest.approx(3 * default, rel=1e-3)
    assert found.source == "as the last measurement took on this machine", "whose it was is nobody's business"


def test_progress_and_time_left_are_read_from_what_the_command_prints(sku_home: Path) -> None:
    line = "Leak@8 (2 of 2): writing answers: 1 of 9, 40 s left (all: 3 min)\nrelearning: 0 of 10 steps\n"
    running(sku_home, line)
    job = AttackJobs().read("1")
    assert (job.state, job.place, job.seconds_left) == ("running", 2, 180.0), "a line without them hides none before it"
    assert 0.1 < job.progress < 0.5, "two of three parts are done, but the third has eight times the answers"


def test_before_the_command_tells_the_time_left_it_is_the_estimate(sku_home: Path) -> None:
    running(sku_home, "No attack: writing answers: 2 of 2, 0 s left\n")
    jobs = AttackJobs()
    first = jobs.read("1")
    assert (first.place, first.progress) == (0, 0.0)
    assert first.seconds_left == pytest.approx(jobs.cost(2, ["int4", "leak-8"], 10).seconds)


def test_of_a_model_that_was_never_timed_no_time_left_is_told(sku_home: Path) -> None:
    running(sku_home, "", model="some/other")
    assert AttackJobs().read("1").seconds_left is None


def test_one_at_a_time(sku_home: Path, started: list[list[str]]) -> None:
    running(sku_home, "")
    with pytest.raises(RuntimeError, match="measurement 1 is running; one attack measurement at a time"):
        AttackJobs().start(["ga@1"], ["int4"], 10)
    assert started == []
