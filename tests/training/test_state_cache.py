"""States are kept exactly, within bounds, and a cache that lost or spoilt a file only costs time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sku.training.state_cache import StateCache

KB = torch.arange(256.0)  # 1,024 bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_one_process_keeps_another_reads_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    states = torch.randn(3, 5).to(dtype)
    StateCache(tmp_path).put("one", states.T)
    found = StateCache(tmp_path).get("one")
    assert found is not None
    assert found.dtype == dtype
    assert torch.equal(found, states.T)
    assert StateCache(tmp_path).get("two") is None
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"], "nothing temporary is left"


def test_memory_holds_what_was_used_last(tmp_path: Path) -> None:
    cache = StateCache(tmp_path, max_memory_bytes=2048)
    for key in ("a", "b"):
        cache.put(key, KB)
    cache.get("a")
    cache.put("c", KB)
    assert list(cache._kept) == ["a", "c"]
    assert cache.get("b") is not None, "it is still on disk"


def test_the_folder_stays_within_its_bound_and_loses_what_was_not_used(tmp_path: Path) -> None:
    cache = StateCache(tmp_path, max_disk_bytes=8000)
    for number in range(40):
        cache.put(f"{number:02}", KB)
        StateCache(tmp_path).get("00")
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8000
    kept = sorted(path.stem for path in tmp_path.iterdir())
    assert kept[0] == "00"
    assert kept[-1] == "39"


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_damaged_file_is_missing(tmp_path: Path, content: bytes | None) -> None:
    StateCache(tmp_path).put("one", KB)
    path = tmp_path / "one.safetensors"
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    cache = StateCache(tmp_path)
    assert cache.get("one") is None
    cache.put("one", KB)
    assert StateCache(tmp_path).get("one") is not None


def test_a_disk_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = StateCache(tmp_path / "file")
    assert torch.equal(cache.put("one", KB), KB)
    assert cache.get("one") is not None
