"""What `train` learned and `export` wrote answers as the run itself does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_train_and_export_and_ask_again(sku: Any, pico_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    words = ["--preset", "tiny", "--model", pico_folder, "--harmful", pairs_file, "--normal", "bundled"]
    code, _, err = sku("train", "--method", "tv", *words, "--max-tokens", 512, "--out", out, "--json")
    assert code == 0, err
    code, _, err = sku("export", "-v", f"{out}@1", "--out", tmp_path / "exported", "--as", "model")
    assert code == 0, err
    asked = ("answer", "Why?", "--max-tokens", 12, "--json")
    code, exported, err = sku(*asked, "-v", "base", "--model", tmp_path / "exported")
    assert code == 0, err
    code, served, err = sku(*asked, "-v", f"{out}@1", "-v", "base", "--model", pico_folder)
    assert code == 0, err
    texts = [json.loads(line)["text"] for line in (exported + served).splitlines()]
    assert texts[0] == texts[1] != texts[2], "what is exported is what was served, and not the base"
