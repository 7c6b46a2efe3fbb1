"""Where pairs come from: the base's own answers are made once and kept."""

from __future__ import annotations

import json
from pathlib import Path

from sku.core.config import DecodingConfig, TrainConfig
from sku.serving.live_session import LiveSession
from sku.training.trainer import run_training
from tests.training.runs import changed


def test_own_answers_are_the_bases_greedy_ones_and_are_kept(
    config: TrainConfig, tmp_path: Path, sku_home: Path
) -> None:
    config = changed(config, normal=[f"self:{config.normal[0]}"], normal_limit=4)
    said: list[str] = []
    run = run_training(tmp_path / "run", config, lambda line: said.append(line.get("doing", "")))
    assert any("4 of 4" in text for text in said)
    assert run.manifest.data["normal"][0]["name"] == "self:normal.jsonl"
    (cache,) = (sku_home / "self").iterdir()
    kept = json.loads(cache.read_text().splitlines()[0])
    session = LiveSession(config.model)
    (answer,) = session.answers([kept["prompt"]], ["base"], DecodingConfig(max_new_tokens=config.max_tokens))
    assert answer.text == kept["answer"]
    said.clear()
    run_training(tmp_path / "again", config, lambda line: said.append(line.get("doing", "")))
    assert not any("4 of 4" in text for text in said), "they are made once"
