"""Commands refuse an output path that cannot be written before they load anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.models import pretrained


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "-v", "base"),
        ("attack", "-v", "base"),
        ("record", "-v", "base"),
        ("train",),
        ("export", "-v", "sku@1", "--as", "model"),
        ("study", "--data", "."),
        ("train-judge", "--labelled", "x.csv"),
        ("train-probe",),
        ("plot", "assets/results/study.jsonl"),
    ],
)
def test_an_output_path_of_the_wrong_kind_is_refused_at_once(
    sku: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(pretrained, "provision_base", None)
    out = tmp_path / "out.png"
    if words[0] in ("train", "study", "train-judge", "train-probe", "export"):
        out.write_text("here", encoding="utf-8")
    else:
        out.mkdir()
    code, _, err = sku(*words, "--out", out)
    assert code == 1
    assert any(said in err for said in ("is a folder; name a file", "is a file; name a folder", "name a new folder"))
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["out.png"]
