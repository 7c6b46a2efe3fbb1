"""`score` prints how likely each variant finds given answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_score_gives_a_number_a_variant(sku: Any, run: Path, pico_folder: Path) -> None:
    line = json.dumps({"prompt": "Why?", "answer": "Because."}) + "\n"
    code, out, err = sku("score", "-", "-v", "base", "-v", f"{run}@0", "--model", pico_folder, "--json", stdin=line)
    assert code == 0, err
    scores = json.loads(out)["log_prob_per_token"]
    assert scores["base"] == scores[f"{run}@0"] < 0
