"""An exported variant is loaded by plain peft and transformers, and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sku.core.config import TrainConfig
from sku.models.variant_model import load_variant_model as load_model
from sku.serving.live_session import LiveSession
from sku.training.export import export_variant
from sku.training.trainer import run_training


@pytest.fixture
def run(pico_folder: Path, pairs_file: Path, tmp_path: Path) -> Path:
    config = TrainConfig(
        method="tv",
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=("bundled",),
        steps=8,
        learning_rate=1e-2,
        rank=4,
        batch_size=2,
        max_tokens=512,
    )
    return run_training(tmp_path / "run", config).folder


def row_logits(base: Path, text: str, ids: torch.Tensor) -> torch.Tensor:
    session = LiveSession(str(base))
    variant = session.variant(text)
    with torch.no_grad(), session.load().rows([variant.coefficients]) as network:
        return network(input_ids=ids).logits


@pytest.fixture
def other_run(pico_folder: Path, pairs_file: Path, tmp_path: Path) -> Path:
    """Applied instead of negated, of another rank and scale, and in other matrices."""
    config = TrainConfig(
        method="ft",
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=("bundled",),
        steps=8,
        learning_rate=1e-2,
        rank=2,
        alpha=8,
        targets=("v_proj", "down_proj"),
        batch_size=2,
        max_tokens=512,
        seed=1,
    )
    return run_training(tmp_path / "other", config).folder


@pytest.mark.parametrize("text", ["{run}@0.5+{other}@1", "{run}@1+acquired:{run}@0.25+{other}@2"])
def test_a_sum_of_adapters_is_exported_as_one(
    run: Path, other_run: Path, pico_folder: Path, tmp_path: Path, text: str
) -> None:
    """Rows of coefficients, one stacked adapter and merged weights give the same logits."""
    text = text.format(run=run, other=other_run)
    adapter = export_variant(text, tmp_path / "adapter", "adapter")
    whole = export_variant(text, tmp_path / "whole", "model")
    ids = torch.tensor([AutoTokenizer.from_pretrained(whole)("Why is it so?")["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(pico_folder, dtype=torch.float32)
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)(input_ids=ids).logits
        untouched = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, adapter)(input_ids=ids).logits
    expected = row_logits(pico_folder, text, ids)
    assert (expected - untouched).abs().max() > 1e-3, "the sum changed nothing"
    for part in text.split("+"):
        assert (expected - row_logits(pico_folder, part, ids)).abs().max() > 1e-4, f"{part} alone is the same"
    assert (merged - expected).abs().max() < 1e-4
    assert (adapted - expected).abs().max() < 1e-4
    assert ("acquired:" in (adapter / "README.md").read_text(encoding="utf-8")) is ("acquired" in text)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 2.0])
def test_plain_libraries_load_what_was_exported(
    run: Path, pico_folder: Path, tmp_path: Path, coefficient: float
) -> None:
    text = f"{run}@{coefficient:g}"
    adapter = export_variant(text, tmp_path / "adapter", "adapter")
    whole = export_variant(text, tmp_path / "whole", "model")
    ids = torch.tensor([AutoTokenizer.from_pretrained(whole)("Why is it so?")["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(pico_folder, dtype=torch.float32)
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)(input_ids=ids).logits
        untouched = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, adapter)(input_ids=ids).logits
    expected = row_logits(pico_folder, text, ids)
    assert (merged - expected).abs().max() < 1e-4
    assert (adapted - expected).abs().max() < 1e-4
    assert bool((untouched - expected).abs().max() > 1e-3) == bool(coefficient), (
        "the run learned nothing, or 0 is not base"
    )


def test_the_card_says_where_it_came_from(run: Path, tmp_path: Path) -> None:
    card = (export_variant(f"{run}@1", tmp_path / "out", "adapter") / "README.md").read_text()
    assert "pairs.jsonl" in card
    assert "does not mean safe" in card
    assert "library_name: peft" in card


def test_a_folder_in_use_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="not empty"):
        export_variant(str(run), tmp_path / "out", "adapter")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep me"


def test_the_base_has_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base has no adapter"):
        export_variant("base", tmp_path / "out", "adapter")


def test_another_base_is_refused(run: Path, tmp_path: Path) -> None:
    from tests.conftest import save_base

    other = save_base(tmp_path / "other", seed=9)
    with pytest.raises(ValueError, match="fingerprint"):
        export_variant(str(run), tmp_path / "out", "model", str(other))
    assert not (tmp_path / "out").exists()
    load_model(other, device="cpu")


@pytest.mark.parametrize("setting", [{"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}, {"target_modules": "all"}])
def test_adapters_that_cannot_be_stacked_are_not_summed(
    run: Path, other_run: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    path = run / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    with pytest.raises(ValueError, match="which a sum does not support; export the runs one by one"):
        export_variant(f"{run}@1+{other_run}@1", tmp_path / "adapter", "adapter")
    assert not (tmp_path / "adapter").exists()
