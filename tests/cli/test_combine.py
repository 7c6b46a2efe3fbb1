"""`combine` writes a run that every other command takes, and says in one line what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_combine_and_answer_and_export(sku: Any, run: Path, pico_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "half"
    code, said, err = sku("combine", "--operation", "sum", "-v", f"{run}@0.5", "--out", out)
    assert code == 0, err
    assert said.startswith(f"Sum of {run}@0.5; rank 4, residual 0\nwrote {out}\n")
    assert "computing sum: 4 of 4" in err
    asked = ("answer", "Why?", "--model", pico_folder, "--max-tokens", 12, "--json")
    texts = []
    for variant in (out, f"{run}@0.5"):
        code, said, err = sku(*asked, "-v", variant)
        assert code == 0, err
        texts.append(json.loads(said)["text"])
    assert texts[0] == texts[1], "the sign of a negated run is in the result"
    assert sku("export", "-v", out, "--out", tmp_path / "exported")[0] == 0
    card = (tmp_path / "exported" / "README.md").read_text(encoding="utf-8")
    assert f"`combined` (Sum of {run}@0.5; rank 4, residual 0), on:" in card


def test_the_manifest_is_printed_as_json(sku: Any, run: Path, tmp_path: Path) -> None:
    words = ("combine", "--operation", "dare", "--seed", 7, "-v", run, "--out", tmp_path / "out", "--json")
    code, said, err = sku(*words)
    assert code == 0, err
    combination = json.loads(said)["combination"]
    assert combination["settings"] == {"drop": 0.9, "seed": 7, "rank": 4}
    assert combination["parents"][0]["runs"][0]["method"] == "tv"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--operation", "magic", "-v", "RUN"], 1, "operation 'magic' is not known; choose one of sum,"),
        (["--operation", "sum", "-v", "nowhere"], 1, "variant 'nowhere' is not known"),
        (["--operation", "difference", "-v", "RUN"], 1, "needs at least 2 variants"),
        (["--operation", "sum", "-v", "RUN", "--rank", 40], 1, "rank 40 is too large"),
        (["--operation", "search", "-v", "RUN", "--side", "test"], 1, "train or validation, never test"),
        (["--operation", "sum"], 2, "--variant"),
    ],
)
def test_mistakes_are_one_line(sku: Any, run: Path, tmp_path: Path, words: list[object], code: int, said: str) -> None:
    named = [run if word == "RUN" else word for word in words]
    got, out, err = sku("combine", *named, "--out", tmp_path / "out")
    assert (got, out) == (code, "")
    assert said in err
    if code == 1:
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
