"""Looking at a training while it runs: what is seen is what will be served, and looking changes nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.jsonl import read_json_log
from sku.core.runs import Manifest
from sku.core.variants import Variant
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from sku.serving.estimates import estimate_training
from sku.training import vector_norms
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
    with pytest.raises(Collapsed, match="beyond the bound"):
        run_training(tmp_path / "run", dataclasses.replace(calm, collapse_perplexity=bound))
    manifest = runs.read_run(tmp_path / "run").manifest
    assert manifest.status == "failed"
    assert "would no longer write normal text" in str(manifest.reason)
    assert manifest.step < 60
    assert not (tmp_path / "run" / "adapter").exists()


def test_the_norm_of_a_vector_is_that_of_the_whole_product(adapters: dict[str, Path]) -> None:
    found = vector_norms.layer_norms(adapters["two"])
    assert set(found) == {"k_proj", "v_proj", "o_proj"}
    tensors = load_file(adapters["two"] / "adapter_model.safetensors")
    for module, layers in found.items():
        for layer, norm in enumerate(layers):
            place = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            a, b = tensors[f"{place}.lora_A.weight"], tensors[f"{place}.lora_B.weight"]
            assert norm == pytest.approx(2 * float(torch.linalg.norm(b @ a)), rel=1e-5)  # alpha is twice the rank


def test_an_estimate_comes_from_a_run_of_the_same_method_here(config: TrainConfig, sku_home: Path) -> None:
    unknown = estimate_training(config)
    assert unknown.seconds is None
    assert "no run of sku" in unknown.source
    folder = sku_home / "runs" / "before"
    folder.mkdir(parents=True)
    runs.write_manifest(
        folder, Manifest("sku", config.to_dict(), config.model, "", status="finished", step=6, seconds=60.0)
    )
    assert estimate_training(config).seconds == pytest.approx(60)
    assert estimate_training(dataclasses.replace(config, steps=12, batch_size=4)).seconds == pytest.approx(240)
    lines = [json.dumps({"step": i, "seconds": 2.0}) + "\n" for i in range(6)]
    (folder / runs.LOG).write_text("".join(lines))
    assert estimate_training(config).seconds == pytest.approx(12)
    assert "run before here" in estimate_training(config).source
    shipped = estimate_training(TrainConfig(method="ga"))
    assert "the shipped run ga" in shipped.source
    assert shipped.seconds is not None
