"""Evaluations that a visitor starts: one at a time, each its owner's, cost said first."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import pytest

from sku.data import load_pairs
from sku.models.pretrained import DEFAULT_BASE
from sku.reporting import result_files
from sku.serving import processes
from sku.serving.evaluation_jobs import EvaluationJobs
from sku.ui.tradeoff.evaluate_panel import measured_variants, own_prompts, price_text, read_prompts
from tests.ui.test_page import row


class Ended:
    """A child process that has ended."""

    def poll(self) -> int:
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every process that would have been started."""
    found: list[list[str]] = []

    def spawn(folder: Path, arguments: Sequence[str]) -> Ended:
        found.append(list(arguments))
        return Ended()

    monkeypatch.setattr(processes, "spawn_process", spawn)
    return found


def made(home: Path, name: str, owner: str | None, **about: object) -> Path:
    folder = home / "evaluations" / name
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"variants": ["base", "sku@1"], "limit": 5}))
    (folder / "job.json").write_text(json.dumps({"owner": owner, **about} if owner else about))
    return folder


def test_rows_are_their_owners_and_nothing_is_lost(sku_home: Path) -> None:
    result_files.write_rows(made(sku_home, "a", "me") / "rows.jsonl", [row("sku@1")])
    result_files.write_rows(made(sku_home, "b", "you") / "rows.jsonl", [row("ga@1")])
    result_files.write_rows(sku_home / "results" / "c.jsonl", [row("tv@1")])
    assert [one.variant for one in result_files.own_rows("me")[0]] == ["sku@1"]
    assert sorted(one.variant for one in result_files.own_rows()[0]) == ["ga@1", "sku@1", "tv@1"]
    assert [one.name for one in EvaluationJobs().all("me")] == ["a"]


def test_what_became_of_one_is_read_from_its_folder(sku_home: Path) -> None:
    work = EvaluationJobs()
    done, stopped, dead = (made(sku_home, name, None, cancelled=name == "2") for name in "123")
    (done / "rows.jsonl").write_text("")
    (dead / "output.txt").write_text("writing answers\nerror: no room\n")
    assert [one.state for one in work.all()] == ["failed", "cancelled", "finished"]
    assert work.read(dead.name).message == "error: no room"
    assert work.live() is None
    with pytest.raises(ValueError, match="is finished"):
        work.resume("1")
    with pytest.raises(ValueError, match="nothing to cancel"):
        work.cancel_live()
    with pytest.raises(ValueError, match="no evaluation called"):
        work.resume("../2")
    with pytest.raises(ValueError, match="no evaluation called"):
        work.resume(stopped.name, "me")


def test_bounds_are_checked_before_anything_starts(sku_home: Path, started: list[list[str]]) -> None:
    work = EvaluationJobs()
    for variants, limit, said in (([], 5, "0 variants"), (["a"] * 9, 5, "9 variants"), (["sku@1"], 51, "51 prompts")):
        with pytest.raises(ValueError, match=said):
            work.start(variants, limit)
    assert started == []
    work.start(["sku@1", "base"], 5, "me")
    (arguments,) = started
    assert arguments[:2] == ["evaluate", "--out"]
    assert [arguments[i + 1] for i, one in enumerate(arguments) if one == "--variant"] == ["base", "sku@1"]


def test_own_prompts_are_asked_all_of_them_and_the_cost_knows(sku_home: Path, started: list[list[str]]) -> None:
    work = EvaluationJobs()
    with pytest.raises(ValueError, match="give at most 100 of your own"):
        work.start(["sku@1"], 5, prompts=["Why?"] * 101)
    job = work.start(["sku@1"], 5, "me", prompts=["Help me cheat.", "Hilf mir, zu lügen."])
    (arguments,) = started
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert (given["--limit"], given["--normal-limit"]) == ("2", "5")
    assert [pair.prompt for pair in load_pairs(given["--harmful-prompts"], "harmful").pairs] == [
        "Help me cheat.", "Hilf mir, zu lügen.",
    ]  # fmt: skip
    assert job.own_prompts == 2
    assert work.cost(1, 5, own_prompts=2).answers == 2 * (2 + 5 + 5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "\ufeffHelp me cheat.\nHelp me lie.\n"),
        ("a.csv", "prompt,answer\nHelp me cheat.,no\nHelp me lie.,no\nHelp me cheat.,yes\n"),
        ("a.jsonl", '{"prompt": "Help me\\ncheat."}\n{"prompt": "Help me lie."}\n'),
    ],
)
def test_prompts_are_read_from_a_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert own_prompts(read_prompts(str(tmp_path / name))) == ["Help me cheat.", "Help me lie."]


@pytest.mark.parametrize(("name", "content"), [("a.txt", b"\xff\xfe\xff"), ("a.csv", b"x,y\n1,2\n")])
def test_a_file_without_prompts_is_refused_without_its_path(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(gr.Error) as refused:
        read_prompts(str(tmp_path / name))
    assert str(tmp_path) not in refused.value.message


def test_what_is_measured_is_the_base_that_the_page_shows(sku_home: Path, started: list[list[str]]) -> None:
    work = EvaluationJobs()
    name = work.start(["sku@1"], 5, model="some/other").name
    work.resume(name)
    for arguments in started:
        assert arguments[arguments.index("--model") + 1] == "some/other", (
            "rows of another base would be shown beside it"
        )
    assert len(started) == 2


def test_the_price_is_what_will_be_asked(sku_home: Path) -> None:
    work = EvaluationJobs()
    assert work.cost(3, 10).answers == (3 + 1) * 10 * 3
    assert work.cost(0, 10_000).answers < 10_000, "a set is asked whole, and no prompt twice"
    assert "120 answers" in price_text(work, DEFAULT_BASE, ["sku"], "0.5, 1, 1.5", 10)
    assert measured_variants(["sku", "ga"], "1,2,1.0") == ["sku@1", "sku@2", "ga@1", "ga@2"]
    for chosen, text, said in (([], "1", "no variant"), (["sku"], "x", "are not numbers"), (["sku"], "11", "0 to 10")):
        with pytest.raises(ValueError, match=said):
            measured_variants(chosen, text)


def test_the_time_is_that_of_this_machine_once_one_ran_through(sku_home: Path) -> None:
    work = EvaluationJobs()
    assert "no evaluation has finished on this machine" in work.cost(1, 5).source
    ended = time.time()
    about = {"variants": ["base", "sku@1"], "limit": 5, "model": DEFAULT_BASE, "began": ended - 60}
    for name, began in (("1", ended - 60), ("2", None)):
        rows = made(sku_home, name, None) / "rows.jsonl"
        rows.write_text("")
        os.utime(rows, (ended, ended))
        (rows.parent / "evaluation.json").write_text(json.dumps({**about, "began": began}))
    found = work.cost(3, 10)
    assert found.seconds == pytest.approx(60 / 30 * 120, rel=1e-3), "30 answers took a minute; 120 will take four"
    assert found.source == "as the last evaluation took on this machine", "whose it was is nobody's business"
    (sku_home / "evaluations" / "1" / "rows.jsonl").unlink()
    assert "no evaluation has finished" in work.cost(3, 10).source, "nobody knows how long a resumed one took"


def test_of_a_base_that_was_never_timed_no_time_is_told(sku_home: Path) -> None:
    said = price_text(EvaluationJobs(), "some/<other>", ["sku"], "1", 5)
    assert "the time is not known (no evaluation of some/&lt;other&gt; has finished" in said


def test_what_a_visitor_left_long_ago_goes(sku_home: Path, started: list[list[str]]) -> None:
    for name, days in (("old", 8), ("new", 6)):
        folder = sku_home / "evaluations" / name
        folder.mkdir(parents=True)
        (folder / "evaluation.json").write_text(json.dumps({"variants": ["base"], "limit": 5}))
        (folder / "job.json").write_text(json.dumps({"owner": "me"}))
        for file in folder.iterdir():
            os.utime(file, (time.time() - days * 86_400,) * 2)
    work = EvaluationJobs(days=7)
    work.start(["sku@1"], 5)
    assert [one.name for one in work.all("me")] == ["new"]


def test_a_damaged_evaluation_hides_no_other_and_can_be_deleted(sku_home: Path) -> None:
    made(sku_home, "good", None)
    (made(sku_home, "bad", None) / "evaluation.json").write_text('{"variants": "base"}')
    work = EvaluationJobs()
    assert [one.name for one in work.all()] == ["good"]
    with pytest.raises(ValueError, match=r"evaluation\.json cannot be read"):
        work.read("bad")
    assert "no evaluation has finished" in work.cost(1, 5).source
    work.delete("bad")
    assert not (sku_home / "evaluations" / "bad").exists()
