"""`record` writes answers without and under attacks, and a session without weights shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sku.core import storage
from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.serving import live_session
from sku.serving.recorded_session import RecordedSession
from tests.conftest import keyword_session


def test_what_is_recorded_under_an_attack_is_shown_under_it(
    sku: Any, run: Path, pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "examples.json").write_text('{"normal": [{"label": "Why", "prompt": "Why?"}]}')
    session = keyword_session(pico_folder)
    monkeypatch.setattr(live_session, "LiveSession", lambda: session)
    monkeypatch.setattr(storage, "ASSETS", tmp_path)
    out = tmp_path / "answers.jsonl"
    code, _, _ = sku("record", "--out", out, "-v", "base", "-v", f"{run}@1", "--max-tokens", 6, "--attack", "int4")
    assert code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["answer"]["attack"], line["kl"] is None) for line in lines] == [
        ("none", False), ("none", False), ("int4", True), ("int4", True),
    ]  # fmt: skip
    recorded = RecordedSession(out)
    for attack in (ChosenAttack(), ChosenAttack("int4")):
        (shown,) = recorded.answers(["Why?"], ["base"], DecodingConfig(max_new_tokens=6), attack)
        (wanted,) = session.answers(["Why?"], ["base"], DecodingConfig(max_new_tokens=6), attack)
        assert shown.text == wanted.text
