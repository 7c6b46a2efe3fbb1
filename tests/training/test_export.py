"""An exported variant is loaded by plain peft and transformers, and says the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import huggingface_hub.constants
import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sku.core.config import TrainConfig
from sku.models.pretrained import hub_id_of
from sku.models.variant_model import load_variant_model as load_model
from sku.serving.live_session import LiveSession
from sku.training.export import ExportForm, export_variant
from sku.training.trainer import run_training
from tests.models.test_variant_model import IDS


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


@pytest.mark.parametrize(
    "text", ["{run}@0.5+{other}@1", "{run}@1+acquired:{run}@0.25+{other}@2", "{run}@1+{foreign}@0.5"]
)
def test_a_sum_of_adapters_is_exported_as_one(
    run: Path, other_run: Path, pico_folder: Path, tmp_path: Path, text: str
) -> None:
    """Rows of coefficients, one stacked adapter and merged weights give the same logits."""
    foreign = shutil.copytree(other_run / "adapter", tmp_path / "peft")  # it does not say on which base it was trained
    factors = load_file(foreign / "adapter_model.safetensors")
    renamed = {name.replace(".weight", ".default.weight"): factor for name, factor in factors.items()}
    save_file(renamed, foreign / "adapter_model.safetensors")
    text = text.format(run=run, other=other_run, foreign=foreign)
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


@pytest.fixture
def hub_base(pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The pico base in the cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub" / "models--someone--pico"
    shutil.copytree(pico_folder, cached / "snapshots" / "0123abcd")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abcd", encoding="utf-8")
    return "someone/pico"


@pytest.mark.parametrize("form", ["adapter", "model"])
def test_no_folder_of_this_machine_leaves_it(run: Path, tmp_path: Path, form: ExportForm) -> None:
    out = export_variant(f"{run}@1", tmp_path / "out", form)
    for file in out.iterdir():
        assert str(tmp_path.parent).encode() not in file.read_bytes(), f"{file.name} names a folder of this machine"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "\n# run@1\n" in card
    assert "base_model:" not in card, "the hub refuses a card whose base_model is no hub id"
    assert "The base has no name outside the machine of the training (fingerprint " in card
    if form == "adapter":
        assert json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"] is None


def test_an_export_loads_by_itself_where_the_hub_is(
    hub_base: str, pico_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        method="tv", model=hub_base, harmful=(str(pairs_file),), normal=("bundled",), steps=2, rank=4, max_tokens=512
    )
    run = run_training(tmp_path / "run", config).folder
    for adapter, sign in ((run / "adapter", 1.0), (export_variant(f"{run}@2", tmp_path / "out", "adapter"), -2.0)):
        loaded = AutoPeftModelForCausalLM.from_pretrained(adapter)
        session = LiveSession(hub_base)
        session.variant(f"{run}@1")
        (key,) = session.load().adapters
        with torch.no_grad(), session.load().rows([{key: sign}]) as network:
            assert torch.allclose(network(input_ids=IDS).logits, loaded(input_ids=IDS).logits, atol=1e-4)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "\nbase_model: someone/pico\n" in card
    assert "The base is `someone/pico` (fingerprint" in card


@pytest.mark.parametrize(
    ("base", "hub_id"),
    [
        ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("facebook/opt-2.7b", "facebook/opt-2.7b"),
        ("/home/me/.cache/huggingface/hub/models--owner--a-name/snapshots/0123abcd", "owner/a-name"),
        ("/home/me/models/mine", None),
        ("", None),
    ],
)
def test_a_base_has_a_name_that_others_know_or_none(base: str, hub_id: str | None) -> None:
    assert hub_id_of(base) == hub_id


def test_an_exported_adapter_knows_its_base(run: Path, tmp_path: Path) -> None:
    from tests.conftest import save_base

    out = export_variant(f"{run}@1", tmp_path / "out", "adapter")
    with pytest.raises(ValueError, match="was trained on a base with fingerprint"):
        LiveSession(str(save_base(tmp_path / "other", seed=9))).variant(str(out))


def test_a_foreign_adapter_is_exported_with_the_sign_that_it_is_given(
    run: Path, pico_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(run / "adapter", tmp_path / "mine")
    out = export_variant(f"{folder}@-2", tmp_path / "out", "adapter")
    for name, tensor in load_file(out / "adapter_model.safetensors").items():
        factor = -2.0 if ".lora_B." in name else 1.0
        assert torch.equal(tensor, factor * load_file(folder / "adapter_model.safetensors")[name])
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "\n# negated:mine@2\n" in card
    assert "The adapter `mine` was not trained with sku." in card
    with pytest.raises(ValueError, match="does not say what its base is; name it with --model"):
        export_variant(f"{folder}@1", tmp_path / "whole", "model")
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")) | {"init_lora_weights": "pissa"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    for form in get_args(ExportForm):
        with pytest.raises(ValueError, match="changes the base"):
            export_variant(f"{folder}@1", tmp_path / "whole", form, str(pico_folder))
