"""What is wrong with a run folder or with an adapter from elsewhere is one sentence that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.core.runs import SHIPPED_ADAPTERS, find_run, foreign_run, own_runs, read_run

ABOUT = json.loads((SHIPPED_ADAPTERS / "sku" / "run.json").read_text(encoding="utf-8"))
PEFT = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "owner/name"}


@pytest.mark.parametrize(
    "change", [{"method": 3}, {"data": "none"}, {"steps": "many"}, {"config": []}, {"seconds": []}]
)
def test_wrong_types_in_a_run_are_named(sku_home: Path, change: dict[str, object]) -> None:
    folder = sku_home / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(ABOUT | change), encoding="utf-8")
    with pytest.raises(ValueError, match=r"run\.json") as refused:
        read_run(folder)
    assert next(iter(change)) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(own_runs()) == [], "a damaged run hides no other"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_adapter_from_elsewhere_is_read_in_every_encoding_that_tells_itself(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "adapter_config.json").write_bytes(json.dumps(PEFT).encode(encoding))
    found = foreign_run(tmp_path, str(tmp_path))
    assert (found.foreign, found.manifest.base) == (True, "owner/name")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "adapter_config.json is a git-lfs pointer"),
        (b"{", "adapter_config.json is not JSON"),
        (b"[]", "adapter_config.json is not an object"),
        (b'{"r": "\xe9"}', "adapter_config.json, line 1, character 8: byte 0xe9 is not UTF-8"),
    ],
)
def test_settings_of_an_adapter_that_cannot_be_read_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        find_run(str(tmp_path))


def test_what_lies_beside_an_adapter_from_elsewhere_is_not_its_run(tmp_path: Path) -> None:
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text(json.dumps(PEFT), encoding="utf-8")
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    assert find_run(str(tmp_path / "peft")).foreign


def test_a_folder_that_holds_no_adapter_is_told_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder without an adapter \(no adapter_config.json\)"):
        find_run(str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="is a file; name the folder of the adapter"):
        find_run(str(tmp_path / "config.json"))
    with pytest.raises(ValueError, match="is a whole model and no adapter; ask it as the base, with --model"):
        find_run(str(tmp_path))
    for step in (100, 200, 300, 400):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="adapters in it: checkpoint-100, checkpoint-200, checkpoint-300 and 1 more"):
        find_run(str(tmp_path))
