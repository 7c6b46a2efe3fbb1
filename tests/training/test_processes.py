"""Several processes share the batch of a training: same adapter, one writer, one stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.run_lock import lock_run
from sku.core.terms import TERMS
from sku.models.distributed import require_whole_weights, training_processes
from sku.models.variant_model import VariantModel
from sku.training.objective import Objective
from sku.training.term_batches import TermBatches
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS, changed
from tests.training.test_objective import adapted, some_batches

ROOT = Path(__file__).parents[2]
_RELATIVE = ("misdirection", "steadiness")
"""Terms that are relative to the mean size of the states of each process's own rows."""


@pytest.mark.parametrize("method", ["sku", "ga", "rmu", "circuit_breakers", "sku_directions"])
def test_the_mean_over_processes_is_the_term_on_all_rows(config: TrainConfig, pico: VariantModel, method: str) -> None:
    config = changed(config, method=method, batch_size=4, opening_weight=3.0)
    objective = Objective(adapted(pico.network, config), config)
    batches = some_batches(config, pico.template)
    whole, tokens = objective(batches.at(0))
    shares = [objective(batches.at(0, process, 2)) for process in range(2)]
    assert sum(count for _, count in shares) == tokens
    for name, value in whole.items():
        mean = sum(float(terms[name].detach()) for terms, _ in shares) / 2
        assert mean == pytest.approx(float(value.detach()), rel=0.02 if name in _RELATIVE else 1e-4), name


def test_processes_that_cannot_share_a_batch_equally_say_which_they_can(config: TrainConfig) -> None:
    """Half of the batch has safe answers in `sku_directions`, so two processes need four prompts."""
    assert TERMS["safe_answers"].share == 0.5
    TermBatches.check_equal_shares(changed(config, method="sku_directions", batch_size=3), 1)
    TermBatches.check_equal_shares(changed(config, method="sku", batch_size=2), 2)
    with pytest.raises(ValueError, match=r"2 processes cannot share batches of 6 .* --batch-size to a multiple of 4"):
        TermBatches.check_equal_shares(changed(config, method="sku_directions", batch_size=6), 2)


def test_two_processes_stop_together_and_have_trained_what_one_trains(config: TrainConfig, tmp_path: Path) -> None:
    """A signal to the second process stops both after the same step, and one process goes on to the adapter of one."""
    config = changed(config, normal=["self:" + config.normal[0]], normal_limit=4, max_tokens=80, steps=150)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "sku", "train", "--config"]
    command = [sys.executable, *words, str(tmp_path / "config.json"), "--out", str(tmp_path / "two")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as launcher:
        wait_for_steps(tmp_path / "two", 3, launcher)
        (second,) = [one for one in psutil.Process(launcher.pid).children() if one.environ().get("RANK") == "1"]
        second.send_signal(signal.SIGINT)
        said, _ = launcher.communicate(timeout=120)
    assert runs.read_run(tmp_path / "two").manifest.status == "cancelled", said
    lines = runs.read_log(tmp_path / "two")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), "one process writes"
    assert len(lines) < config.steps
    one = run_training(tmp_path / "one", config)
    for mine, wanted in zip(lines, runs.read_log(one.folder), strict=False):
        assert mine["tokens"] == wanted["tokens"]
        assert mine["terms"] == pytest.approx(wanted["terms"], rel=1e-3)
    made = load_file(run_training(tmp_path / "two", config, resume=True).folder / WEIGHTS)
    for name, tensor in load_file(one.folder / WEIGHTS).items():
        assert torch.dist(made[name], tensor) < 1e-3 * tensor.norm(), name


def wait_for_steps(folder: Path, steps: int, process: subprocess.Popen[str]) -> None:
    """Wait until the log of a run has so many steps."""
    deadline = time.monotonic() + 240
    while not (folder / "log.jsonl").is_file() or len(runs.read_log(folder)) < steps:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_locked_folder_is_left_alone(config: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", config)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with lock_run(run.folder), pytest.raises(FileExistsError, match="another process is writing"):
        run_training(run.folder, config, resume=True)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_accelerate_launch_on_processors_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(ValueError, match=r"starts only one process on processors; .* torchrun --nproc-per-node 2"):
        training_processes()


def test_processes_that_split_the_weights_are_refused() -> None:
    require_whole_weights(DistributedType.MULTI_GPU)
    with pytest.raises(ValueError, match=r"training with FSDP is not supported, .*; use torchrun"):
        require_whole_weights(DistributedType.FSDP)
