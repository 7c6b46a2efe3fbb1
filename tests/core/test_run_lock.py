"""One process at a time writes a run folder, and a killed one leaves no lock behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sku.core.run_lock import lock_run

ROOT = Path(__file__).parents[2]
_HOLD = """
import pathlib, sys
from sku.core.run_lock import lock_run
with lock_run(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", _HOLD, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(FileExistsError, match=r"another process is writing the run in .*; wait until"):
            lock_run(folder).__enter__()
        first.kill()
    with lock_run(folder):
        pass


def test_a_lock_under_which_nothing_was_written_leaves_no_folder(tmp_path: Path) -> None:
    with lock_run(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with lock_run(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir(), "the folder was there before"
    with lock_run(tmp_path / "run"):
        (tmp_path / "run" / "run.json").touch()
    assert (tmp_path / "run" / "run.json").is_file()
