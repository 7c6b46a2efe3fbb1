"""`answer` prints one object a variant and sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_answer_prints_an_object_a_variant_and_sample(sku: Any, run: Path, pico_folder: Path) -> None:
    words = ["-v", "base", "-v", f"{run}@0", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 8, "--json"]
    code, out, _ = sku("answer", "Why?", *words, "--samples", 2, "--temperature", 1, "--seed", 7)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["variant"], row["sample"]) for row in rows][:3] == [("base", 0), ("base", 1), (f"{run}@0", 0)]
    assert len(rows) == 6
    fields = {"variant", "coefficient", "prompt", "seed", "sample", "text", "tokens", "seconds", "stopped"}
    fields |= {"attack", "answer_start"}
    assert all(set(row) == fields for row in rows)
    assert rows[0]["text"] == rows[2]["text"], "coefficient 0 must print exactly the base's text"


def test_answer_reads_standard_input(sku: Any, pico_folder: Path) -> None:
    _, out, _ = sku("answer", "-", "-v", "base", "--model", pico_folder, "--max-tokens", 4, "--json", stdin="Why so?")
    assert json.loads(out)["prompt"] == "Why so?"
