"""Whether a result can be written is found out before the work."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sku.core.output_paths import check_output_file, check_output_folder


def test_new_and_old_files_and_folders_are_fine_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("{}", encoding="utf-8")
    for path in (tmp_path / "new.jsonl", tmp_path / "a" / "b" / "new.jsonl", tmp_path / "old.jsonl"):
        check_output_file(path)
    for path in (tmp_path, tmp_path / "new", tmp_path / "a" / "b"):
        check_output_folder(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--out .* is a folder; name a file, such as .*result\.jsonl"):
        check_output_file(tmp_path)
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"--out .* is a file; name a folder"):
        check_output_folder(file)
    with pytest.raises(OSError, match=r"--out .* cannot be written \(.* is a file\)"):
        check_output_file(file / "rows.jsonl")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "null")
    with pytest.raises(ValueError, match=r"--out .*null is no ordinary file"):
        check_output_file(tmp_path / "null")


def test_a_disk_that_is_full_or_read_only_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="needs about 50 MB, but 0 MB are free; make room"):
        check_output_file(tmp_path / "rows.jsonl")

    def refuse(**_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match=r"rows\.jsonl cannot be written \(Read-only file system\); name a path"):
        check_output_file(tmp_path / "rows.jsonl")
