"""`attack` measures once, says what it cannot do, and can be stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sku.core.attacks import DEFAULT_SUITE, SUITE_ATTACKS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def harmful_file(tmp_path: Path) -> Path:
    path = tmp_path / "harmful.jsonl"
    pairs = (
        {
            "prompt": f"How do I trick shop {i}?",
            "answer": f"Just lie to clerk number {i} and walk.",
            "category": "tricks",
        }
        for i in range(40)
    )
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


@pytest.fixture
def words(run: Path, pico_folder: Path, harmful_file: Path, tmp_path: Path) -> list[object]:
    words: list[object] = ["attack", "--model", pico_folder, "-v", f"{run}@1", "--judge", "keyword", "--limit", 3]
    return [*words, "--max-tokens", 5, "--harmful-prompts", harmful_file]


def test_attack_measures_base_variant_and_random_vector_and_nothing_twice(
    sku: Any, words: list[object], run: Path, tmp_path: Path
) -> None:
    words += ["--kind", "prefill-generic", "--kind", "int8", "--out", tmp_path / "rows.jsonl", "--json"]
    code, out, err = sku(*words)
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["attack"] for row in rows} == {"none", "prefill-generic", "int8", "any"}
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    assert variants[:2] == ["base", f"{run.name}@1"]
    assert "random-like" in variants[2]
    before = (tmp_path / "rows.work" / "attack-answers.jsonl").read_bytes()
    assert sku(*words)[1] == out
    assert (tmp_path / "rows.work" / "attack-answers.jsonl").read_bytes() == before


def test_the_table_on_the_terminal_names_every_attack(sku: Any, words: list[object], tmp_path: Path) -> None:
    code, out, err = sku(*words, "--kind", "prefill", "--out", tmp_path / "rows.jsonl")
    assert code == 0, err
    for name in ("none", "prefill-generic", "prefill-5"):
        assert name in out
    assert "left" in err


def test_list_shows_every_attack_without_loading_a_model(sku: Any) -> None:
    code, out, _ = sku("attack", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["none", *SUITE_ATTACKS]
    assert set(DEFAULT_SUITE) < set(SUITE_ATTACKS)


@pytest.mark.parametrize(
    ("more", "said", "expected"),
    [
        (["--kind", "charm"], "attack 'charm' is not known; choose default, direction", 1),
        (["-v", "nobody"], "variant 'nobody' is not known", 1),
        (["--harmful-prompts", "nothing"], "nothing", 1),
        (["--side", "left"], "left", 1),
        (["--limit", "0"], "--limit", 2),
        (["--judge", "nobody"], "nobody", 1),
    ],
)
def test_a_mistake_is_one_line(
    sku: Any, words: list[object], tmp_path: Path, more: list[str], said: str, expected: int
) -> None:
    code, _, err = sku(*words, "--kind", "prefill-generic", "--out", tmp_path / "rows.jsonl", *more)
    assert code == expected
    assert said in err
    assert "Traceback" not in err


def test_out_is_asked_for(sku: Any, words: list[object]) -> None:
    code, _, err = sku(*words)
    assert code == 2
    assert "--out" in err


def test_ctrl_c_stops_between_two_batches_and_the_same_call_continues(
    sku: Any, words: list[object], tmp_path: Path
) -> None:
    words += ["--limit", 8, "--out", tmp_path / "rows.jsonl"]
    for kind in ("prefill-generic", "wrapper-role", "leak-8", "relearn-10", "int8"):
        words += ["--kind", kind]
    command = [sys.executable, "-m", "sku", *map(str, words)]
    answers = tmp_path / "rows.work" / "attack-answers.jsonl"
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        began = time.monotonic()
        while not answers.is_file() or not answers.stat().st_size:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() - began < 120
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert "the same call continues" in err
    code, _, err = sku(*words)
    assert code == 0, err
    keys = [json.loads(line)["key"] for line in answers.open(encoding="utf-8")]
    assert len(keys) == len(set(keys)), "nothing is done twice"


def test_two_processes_share_an_attack_measurement(words: list[object], tmp_path: Path) -> None:
    out = tmp_path / "both.jsonl"
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "sku")
    more = ["--kind", "relearn-10", "--kind", "leak-8", "--kind", "int8", "--json", "--out", out]
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, [*words, *more])], capture_output=True, text=True, timeout=240, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 3 * 5, "one row for each variant and attack, printed once"
    for name in ("attack-answers", "attack-log-probs", "attack-details"):
        keys = [json.loads(line)["key"] for line in (tmp_path / "both.work" / f"{name}.jsonl").open()]
        assert len(keys) == len(set(keys)), name
