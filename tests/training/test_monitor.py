"""Looking at a training while it runs: what is seen is what will be served, and looking changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.jsonl import read_json_log
from sku.core.variants import Variant
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from sku.training.monitor import Collapsed
from sku.training.trainer import run_training


@pytest.fixture
def config(pico_folder: Path, pairs_file: Path, normal_file: Path) -> TrainConfig:
    return TrainConfig(
        method="sku",
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
        steps=6,
        batch_size=2,
        rank=4,
        max_tokens=128,
        checkpoint_every=2,
        probe_every=3,
        probe="Why?",
    )


def test_a_probed_run_ends_in_the_same_adapter(config: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "seen", config)
    run_training(tmp_path / "unseen", dataclasses.replace(config, probe_every=0))
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "seen" / name).read_bytes() == (tmp_path / "unseen" / name).read_bytes()
    assert [line["step"] for line in read_json_log(tmp_path / "seen" / runs.PROBES)] == [0, 3, 6]
    assert read_json_log(tmp_path / "unseen" / runs.PROBES) == []


def test_what_is_probed_at_the_end_is_what_is_served(config: TrainConfig, tmp_path: Path, pico: VariantModel) -> None:
    run = run_training(tmp_path / "run", dataclasses.replace(config, learning_rate=0.05))
    pico.add("run", run.adapter)
    first, *_, last = read_json_log(run.folder / runs.PROBES)
    from sku.core.config import DecodingConfig

    served = Variant("run", 1.0, {"run": -1.0})
    base, after = generate_answers(pico, ["Why?"], [Variant("base", 0.0), served], DecodingConfig(max_new_tokens=40))
    assert (first["answer"], last["answer"]) == (base.text, after.text)
    assert first["normal_perplexity"] != last["normal_perplexity"]


def test_a_resumed_run_has_each_probe_once(config: TrainConfig, tmp_path: Path) -> None:
    taken: list[int] = []

    def stop() -> bool:
        return bool(taken) and taken[-1] == 4

    out = tmp_path / "run"
    with pytest.raises(Cancelled):
        run_training(out, config, lambda line: taken.append(line.get("step", 0)), stop)
    run_training(out, config, resume=True)
    assert [line["step"] for line in read_json_log(out / runs.PROBES)] == [0, 3, 6]


def test_a_run_that_collapses_stops_and_says_why(config: TrainConfig, tmp_path: Path) -> None:
    calm = dataclasses.replace(config, method="ga", learning_rate=0.05, steps=60)
    run_training(tmp_path / "calm", dataclasses.replace(calm, steps=1))
    bound = 1.2 * read_json_log(tmp_path / "calm" / runs.PROBES)[0]["normal_perplexity"]
    with pytest.raises(Collapsed, match="above the bound"):
        run_training(tmp_path / "run", dataclasses.replace(calm, collapse_perplexity=bound))
    manifest = runs.read_run(tmp_path / "run").manifest
    assert manifest.status == "failed"
    assert "would no longer write normal text" in str(manifest.reason)
    assert manifest.step < 60
    assert not (tmp_path / "run" / "adapter").exists()
