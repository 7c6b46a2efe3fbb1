"""An atomic write leaves the old file or the new one, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sku.core.storage import write_atomically


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = tmp_path / f".run.json.{ended.pid}.1", tmp_path / f".run.json.{os.getppid()}.1"
    others = tmp_path / ".run.json.keep", tmp_path / f".other.json.{ended.pid}.1"
    for path in (dead, living, *others):
        path.write_text("half")
    write_atomically(tmp_path / "run.json", "whole")
    assert not dead.exists()
    assert {living, *others} <= set(tmp_path.iterdir())
    assert (tmp_path / "run.json").read_text() == "whole"


def test_a_write_that_fails_leaves_the_old_file_and_no_part_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")

    def full(self: Path, text: str, **_: object) -> int:
        self.write_bytes(text[:2].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new text")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
