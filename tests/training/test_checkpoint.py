"""A training that was cancelled, killed or damaged goes on to the same adapter or says why it cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS, changed

ROOT = Path(__file__).parents[2]


def test_a_cancelled_run_resumes_to_the_same_adapter(config: TrainConfig, tmp_path: Path) -> None:
    whole = run_training(tmp_path / "whole", config)
    seen: list[int] = []

    def report(line: dict[str, Any]) -> None:
        seen.extend([line["step"]] if "step" in line else [])

    with pytest.raises(Cancelled, match="stopped after step 3; continue with: train --resume"):
        run_training(tmp_path / "cut", config, report, cancelled=lambda: len(seen) == 3)
    cut = runs.read_run(tmp_path / "cut").manifest
    assert (cut.status, cut.step, cut.pid) == ("cancelled", 3, None)
    done = run_training(tmp_path / "cut", config, resume=True)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
    assert [line["step"] for line in runs.read_log(done.folder)] == [1, 2, 3, 4, 5, 6]


def cancelled_after(folder: Path, config: TrainConfig, steps: int) -> None:
    seen: list[dict[str, Any]] = []
    with pytest.raises(Cancelled):
        run_training(folder, config, seen.append, cancelled=lambda: sum("step" in line for line in seen) == steps)
    assert runs.read_run(folder).manifest.status == "cancelled"


def test_a_training_cancelled_before_its_first_step_can_begin_again(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(Cancelled, match="before the first step"):
        run_training(tmp_path / "run", config, cancelled=lambda: True)
    assert runs.read_run(tmp_path / "run").manifest.status == "cancelled"
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished"


def test_resuming_with_changed_data_is_refused(config: TrainConfig, pairs_file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(pairs_file.read_bytes())
    config = changed(config, harmful=(str(mine),))
    cancelled_after(tmp_path / "run", config, 3)
    mine.write_text("".join(mine.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match=r"mine\.jsonl has changed since the run began"):
        run_training(tmp_path / "run", config, resume=True)
    mine.write_bytes(pairs_file.read_bytes())
    before = runs.read_run(tmp_path / "run").manifest.spent
    done = run_training(tmp_path / "run", config, resume=True).manifest
    assert done.status == "finished", "put back, it goes on"
    assert all(done.spent[kind] > seconds for kind, seconds in before.items()), "the time before counts"


def test_resuming_on_another_base_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    cancelled_after(tmp_path / "run", config, 3)
    about = runs.read_run(tmp_path / "run").manifest
    runs.write_manifest(tmp_path / "run", dataclasses.replace(about, base_fingerprint="0" * 16))
    with pytest.raises(ValueError, match="the run began on a base with fingerprint 0000"):
        run_training(tmp_path / "run", config, resume=True)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_damaged_checkpoint_is_named(config: TrainConfig, tmp_path: Path, keep: int) -> None:
    cancelled_after(tmp_path / "run", config, 3)
    path = tmp_path / "run" / "checkpoint" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged .* --resume begins again at step 0"):
        run_training(tmp_path / "run", config, resume=True)
    path.unlink()
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_resumes_to_the_same_adapter(
    config: TrainConfig, tmp_path: Path, number: signal.Signals
) -> None:
    config = changed(config, steps=150, checkpoint_every=5)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    command = [sys.executable, "-m", "sku", "train", "--config", str(tmp_path / "config.json")]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    child = subprocess.Popen([*command, "--out", str(killed)], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "log.jsonl").is_file() or len(runs.read_log(killed)) < 23:
        assert child.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, number)
    code = child.wait(60)
    assert code == (-number if number == signal.SIGKILL else 130)
    assert runs.read_run(killed).manifest.status == ("running" if number == signal.SIGKILL else "cancelled")
    resumed = run_training(killed, config, resume=True)
    uninterrupted = run_training(whole, config)
    assert (resumed.folder / WEIGHTS).read_bytes() == (uninterrupted.folder / WEIGHTS).read_bytes()
    assert [line["step"] for line in runs.read_log(killed)] == list(range(1, 151))
