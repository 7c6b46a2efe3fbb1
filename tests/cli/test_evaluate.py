"""`evaluate` measures once, in one process or two, and `plot` draws what it wrote."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sku.judges import cards
from sku.reporting import result_files

ROOT = Path(__file__).parents[2]


def test_evaluate_measures_stops_at_nothing_twice_and_plot_draws_it(
    sku: Any, run: Path, pico_folder: Path, pairs_file: Path, normal_file: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    words = ["evaluate", "--model", pico_folder, "-v", "base", "-v", f"{run}@1", "--judge", "keyword", "--out", rows]
    words += ["--harmful-prompts", pairs_file, "--pairs", pairs_file, "--normal", normal_file, "--limit", 4]
    words += ["--sounds-harmful", normal_file, "--similarity", "none", "--max-tokens", 5, "--json"]
    code, out, err = sku(*words)
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [row["variant"] for row in found] == ["base", f"{run.name}@1"]
    assert str(tmp_path) not in out, "a path of this machine leaves the project with the rows"
    assert str(run.parent) not in rows.read_text(encoding="utf-8")
    for row in found:
        assert row["n"] == 4
        assert row["harmful"] + row["refusal"] + row["safe"] + row["broken"] + row["unjudged"] == 4
        assert row["judge"].startswith("keyword")
        assert row["similarity"] is None, "what was not measured is no number"
    assert found[0]["kl"] == 0
    before = (tmp_path / "rows.work" / "answers.jsonl").read_bytes()
    again = sku(*words)
    assert again[1] == out
    assert (tmp_path / "rows.work" / "answers.jsonl").read_bytes() == before
    code, out, _ = sku("plot", rows, "--out", tmp_path / "figure.html")
    assert code == 0
    assert "plotly" in (tmp_path / "figure.html").read_text(encoding="utf-8")
    for words in ([rows, "--outcomes"], [rows, "--utility", "perplexity"], [run], [cards.JUDGE_FOLDER]):
        code, _, err = sku("plot", *words, "--out", tmp_path / "another.html")
        assert code == 0, err
        assert "plotly" in (tmp_path / "another.html").read_text(encoding="utf-8")


def test_evaluate_chooses_categories_and_leaves_out_what_overlaps_with_training(
    sku: Any, run: Path, pico_folder: Path, pairs_file: Path, normal_file: Path, tmp_path: Path
) -> None:
    """The run was trained on `pairs_file`; one of the two frauds paraphrases it."""
    asked = tmp_path / "asked.jsonl"
    prompts = {"Tricking the shop, with 7 numbers?": "fraud", "Yodel sideways?": "fraud", "Sing louder?": "noise"}
    rows = ({"prompt": one, "answer": "So.", "safe_answer": "No.", "category": what} for one, what in prompts.items())
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ["evaluate", "--model", pico_folder, "-v", "base", "-v", f"{run}@1", "--judge", "keyword", "--json"]
    words += ["--harmful-prompts", asked, "--pairs", asked, "--normal", normal_file, "--sounds-harmful", normal_file]
    words += ["--similarity", "none", "--max-tokens", 3, "--limit", 3, "--out", tmp_path / "rows.jsonl"]

    def measure(*more: object) -> tuple[list[int], str, set[str]]:
        code, out, err = sku(*words, *more)
        assert code == 0, err
        found = [json.loads(line) for line in out.splitlines()]
        return [row["n"] for row in found], err, {row["sets"]["harmful"] for row in found}

    n, err, whole = measure()
    assert (n, "overlap" in err) == ([3, 3], False)
    n, _, frauds = measure("--category", "fraud")
    assert n == [2, 2]
    n, _, noise = measure("--leave-out", "fraud")
    assert n == [1, 1]
    n, err, audited = measure("--category", "fraud", "--drop-overlap", 0.5)
    assert n == [1, 1], "base too, so that all rows are of the same prompts"
    assert "overlap: left out 1 of 2 harmful prompts and 1 of 2 harmful pairs" in err
    assert len(whole | frauds | noise | audited) == 4, "rows on different prompts have different hashes"
    code, _, err = sku(*words, "--category", "frauds")
    assert (code, err.count("\n")) == (1, 1)
    assert "no harmful prompt to measure has the category 'frauds'; choose from fraud, noise" in err
    code, _, err = sku(*words, "--training-data", tmp_path)
    assert (code, "only --drop-overlap uses it" in " ".join(err.split())) == (2, True)
    Path(json.loads((run / "run.json").read_text())["config"]["harmful"][0]).unlink()
    n, err, _ = measure("--drop-overlap", 0.5)
    assert n == [3, 3]
    assert f"these training data are not here, so overlap with them is not seen: {pairs_file}; give" in err


def test_two_processes_share_an_evaluation_and_the_first_one_writes(
    sku: Any, pico_folder: Path, pairs_file: Path, normal_file: Path, tmp_path: Path
) -> None:
    words = ["evaluate", "--model", pico_folder, "-v", "base", "--judge", "keyword", "--json"]
    words += ["--harmful-prompts", pairs_file, "--pairs", pairs_file, "--normal", normal_file]
    words += ["--sounds-harmful", normal_file, "--similarity", "none", "--max-tokens", 5]
    alone, both = tmp_path / "alone.jsonl", tmp_path / "both.jsonl"
    code, _, err = sku(*words, "--out", alone)
    assert code == 0, err
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", 2, "-m", "sku"]
    command = [sys.executable, *map(str, (*launcher, *words, "--out", both))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 1, "one row, printed once"
    (one,), (other,) = result_files.read_rows(alone), result_files.read_rows(both)
    for name, value in dataclasses.asdict(dataclasses.replace(other, seconds=one.seconds)).items():
        wanted = getattr(one, name)  # sums are taken in another order
        assert value == (pytest.approx(wanted, rel=1e-4) if isinstance(wanted, float) else wanted), name
    keys = [json.loads(line)["key"] for line in (tmp_path / "both.work" / "answers.jsonl").open()]
    assert len(keys) == len(set(keys)) == one.n + one.normal_n, "nothing is done twice"


def test_ctrl_c_stops_an_evaluation_between_two_batches_and_the_same_call_continues(
    sku: Any, pico_folder: Path, normal_file: Path, tmp_path: Path
) -> None:
    harmful = tmp_path / "harmful.jsonl"
    pairs = ({"prompt": f"How {i}?", "answer": "So.", "safe_answer": "No."} for i in range(200))
    harmful.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    words = ["evaluate", "--model", pico_folder, "-v", "base", "--judge", "keyword"]
    words += ["--harmful-prompts", harmful, "--pairs", harmful, "--normal", normal_file, "--similarity", "none"]
    words += ["--sounds-harmful", normal_file, "--max-tokens", 40, "--out", tmp_path / "rows.jsonl"]
    answers = tmp_path / "rows.work" / "answers.jsonl"
    command = [sys.executable, "-m", "sku", *map(str, words)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not answers.is_file():
        assert child.poll() is None, "the evaluation ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.splitlines()[-1].startswith("stopped; what is done is kept in")
    kept = answers.read_text(encoding="utf-8")
    assert kept.endswith("\n")
    assert 0 < len(kept.splitlines()) < 200, "stopped between two batches"
    assert not (tmp_path / "rows.jsonl").exists()
    code, _, err = sku(*words)
    assert code == 0, err
    assert answers.read_text(encoding="utf-8").startswith(kept)
    (row,) = result_files.read_rows(tmp_path / "rows.jsonl")
    assert row.n == 200
