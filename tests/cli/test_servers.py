"""Commands on a model behind a server: asked, measured, resumed and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import Told, told

__all__ = ["told"]


def test_answer_prints_servers_beside_local_variants(sku: Any, told: Told, pico_folder: Path) -> None:
    words = ["-v", "server:toy", "-v", "base", "--model", pico_folder, "--max-tokens", 8, "--json"]
    code, out, err = sku("answer", "Why?", *words)
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["variant"] for row in rows] == ["server:toy", "base"]
    assert (rows[0]["text"], rows[0]["coefficient"]) == ("You said Why? (greedy).", None)


def test_evaluate_stops_in_one_line_and_the_same_command_goes_on(
    sku: Any, told: Told, pico_folder: Path, pairs_file: Path, normal_file: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    words = ["evaluate", "--model", pico_folder, "-v", "base", "-v", "server:toy", "--judge", "keyword", "--out", rows]
    words += ["--harmful-prompts", pairs_file, "--pairs", pairs_file, "--normal", normal_file, "--limit", 4]
    words += ["--sounds-harmful", normal_file, "--similarity", "none", "--max-tokens", 5, "--json"]
    told.faults = [""] * 3 + [400] * 8
    code, out, err = sku(*words)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: server toy refuses the request")
    told.faults, before = [], len(told.requests)
    code, out, err = sku(*words)
    assert code == 0, err
    row = json.loads(out.splitlines()[1])
    assert (row["method"], row["remote"]["server"], row["kl"], row["n"]) == ("remote", "toy", None, 4)
    assert len(told.requests) - before == 8 - 3, "four harmful and four normal prompts, three of them answered before"
    code, out, err = sku("plot", rows, "--out", tmp_path / "figure.html")
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["answer", "Why?", "-v", "server:nobody"], "server 'nobody' is not known; choose one of 'toy'"),
        (["answer", "Why?", "-v", "server:http://x/v1"], "names no server"),
        (["export", "-v", "server:toy", "--out", "new"], "is a model behind a server"),
        (["score", "-", "-v", "server:toy"], "is a model behind a server"),
    ],
)
def test_what_a_server_cannot_do_is_one_line(
    sku: Any,
    told: Told,
    pico_folder: Path,
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = sku(*words, "--model", pico_folder, stdin='{"prompt": "a", "answer": "b"}')
    assert code == 1
    assert said in err.splitlines()[-1]
