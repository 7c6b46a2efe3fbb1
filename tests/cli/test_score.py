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


def test_answers_to_score_are_found_by_the_names_that_data_use(sku: Any, pico_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("question;response\nWhy?;Because.\n", encoding="utf-8")
    code, out, err = sku("score", tmp_path / "p.csv", "-v", "base", "--model", pico_folder, "--json")
    assert code == 0, err
    assert (json.loads(out)["prompt"], json.loads(out)["answer"]) == ("Why?", "Because.")
    code, _, err = sku("score", "-", "-v", "base", "--model", pico_folder, stdin='{"prompt": "Why?", "answer": ""}')
    assert (code, "row 1, column 'answer': nothing is there; text is wanted" in err) == (1, True)
