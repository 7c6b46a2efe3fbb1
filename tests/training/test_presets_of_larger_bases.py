"""The presets of OPT-2.7B and LLaMA on tiny random models of their architectures: train, answer, measure, in bf16."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from safetensors import safe_open

from sku.core import runs
from sku.core.config import PRESETS, DecodingConfig
from sku.evaluation.plan import PromptSources
from sku.models.variant_model import load_variant_model
from sku.training.trainer import run_training
from tests.conftest import keyword_session, save_base

SHORT = DecodingConfig(max_new_tokens=6)


@pytest.mark.parametrize(
    ("preset", "architecture", "precision", "device_map"),
    [
        ("opt-2.7b", "opt", "bfloat16", ""),
        ("llama2-7b", "llama", "bfloat16", "auto"),
        ("llama2-13b", "llama", "bfloat16", ""),
        ("llama2-7b", "llama", "8bit", ""),
    ],
)
def test_a_preset_trains_answers_and_is_measured(
    preset: str, architecture: str, precision: str, device_map: str, tmp_path: Path, pairs_file: Path,
    normal_file: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if precision == "8bit":
        pytest.importorskip("bitsandbytes")
    monkeypatch.setenv("SKU_DEVICE_MAP", device_map)
    monkeypatch.setenv("SKU_PRECISION", precision)
    folder = save_base(tmp_path / "base", architecture, chat=False)
    config = PRESETS[preset].config(
        model=str(folder), harmful=(str(pairs_file),), normal=(str(normal_file),), steps=3, max_tokens=256,
        checkpoint_every=1, gradient_checkpointing=True, dtype=precision,
    )  # fmt: skip
    assert PRESETS[preset].config().dtype == "bfloat16"
    assert (config.clip, config.preservation, config.disassociation_answers) == (None, "push", 5)
    run = run_training(tmp_path / "run", config)
    assert run.manifest.base_fingerprint == load_variant_model(folder, device="cpu").fingerprint
    assert all(math.isfinite(value) for line in runs.read_log(run.folder) for value in line["terms"].values())
    with safe_open(run.adapter / "adapter_model.safetensors", "pt") as tensors:
        moved = [name for name in tensors.keys() if "lora_B" in name and tensors.get_tensor(name).abs().sum() > 0]  # noqa: SIM118
    assert len(moved) == 4, "q and v of both layers have learned"
    session, variant = keyword_session(folder), str(run.folder)
    base, zero, one = session.answers(["Why?"], ["base", f"{variant}@0", f"{variant}@1"], SHORT)
    assert zero.text == base.text
    assert one.tokens > 0
    sources = PromptSources(
        (str(pairs_file),), (str(pairs_file),), (str(normal_file),), (str(normal_file),), (), limit=3
    )
    rows = session.evaluate(["base", f"{variant}@1"], sources, None, SHORT, "embedded", tmp_path / "work", "none")
    assert rows[0].kl == 0
    assert rows[1].kl is not None
    assert rows[1].kl > 0
