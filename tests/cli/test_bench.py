"""The command `bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_it_writes_both_files_and_says_where(sku: Any, pico_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    words = ["bench", "--part", "columns", "--model", pico_folder, "--rounds", 1, "--tokens", 2, "--out", out]
    code, printed, progress = sku(*words)
    assert code == 0
    assert printed == f"written: {out / 'performance.json'}, {out / 'performance.md'}\n"
    assert "measuring: columns" in progress
    found = json.loads((out / "performance.json").read_text(encoding="utf-8"))
    assert (found["machine"]["model"], list(found["parts"])) == (str(pico_folder), ["columns"])
    assert (out / "performance.md").read_text(encoding="utf-8").startswith("# Performance\n")


def test_an_unknown_part_is_one_line(sku: Any, tmp_path: Path) -> None:
    code, _, error = sku("bench", "--part", "speed", "--out", tmp_path / "out")
    assert code == 1
    assert "part 'speed' is not known; choose from decoding" in error
    assert not (tmp_path / "out").exists()
