"""A base in another precision is the same base: adapters fit it, and coefficient 0 changes nothing."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sku.core.errors import OutOfMemory, Unavailable
from sku.models import base_cost, pretrained
from sku.models.base_cost import BaseCost, HubModel, check_room
from sku.models.precision import chosen_precision, loading_settings
from sku.models.pretrained import KNOWN_BASES, cost_of, dtype_of, provision_base
from sku.models.variant_model import VariantModel, load_variant_model
from tests import conftest

ROWS: list[dict[str, float]] = [{}, {"one": 1.0}, {"one": 0.0}]


def last_logits(model: VariantModel) -> torch.Tensor:
    ids = torch.tensor([model.template.prompt_ids("Why?")] * len(ROWS), device=model.device)
    with torch.no_grad(), model.rows(ROWS) as network:
        found: torch.Tensor = network(input_ids=ids).logits[:, -1].float()
    return found


@pytest.mark.parametrize("precision", ["bfloat16", "8bit", "4bit"])
def test_an_adapter_fits_a_base_in_any_precision(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if precision != "bfloat16" and importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    monkeypatch.setitem(conftest._SMALL, "hidden_size", 128)
    folder = conftest.save_base(tmp_path / "base")
    exact = load_variant_model(folder, device="cpu")
    adapter = conftest.save_adapter(exact.network, tmp_path / "adapter", seed=1)
    rounded = load_variant_model(folder, precision, "cpu")
    assert rounded.fingerprint == exact.fingerprint, "an adapter would be refused"
    for model in (exact, rounded):
        model.add("one", adapter)
    found, wanted = last_logits(rounded), last_logits(exact)
    assert torch.equal(found[2], found[0]), "coefficient 0 is the base, in every precision"
    distance = {"bfloat16": 0.1, "8bit": 0.2, "4bit": 1.0}[precision]
    assert (found - wanted).abs().mean() < distance * (wanted[1] - wanted[0]).abs().mean()
    rounded.check_base("a forward pass")


def test_layers_may_be_spread_by_accelerate(
    pico_folder: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_variant_model(pico_folder, device="cpu")
    monkeypatch.setenv("SKU_DEVICE_MAP", "auto")
    spread = load_variant_model(pico_folder)
    for model in (whole, spread):
        model.add("one", adapters["one"])
    if spread.device.type == "cpu":
        assert torch.equal(last_logits(spread), last_logits(whole))


def test_the_environment_chooses_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (dtype_of("facebook/opt-2.7b"), dtype_of("smollm2-135m")) == ("bfloat16", "float32")
    monkeypatch.setenv("SKU_PRECISION", "bfloat16")
    assert dtype_of("smollm2-135m") == "bfloat16"
    monkeypatch.setenv("SKU_PRECISION", "int3")
    with pytest.raises(ValueError, match="'int3'; set it to float32, bfloat16, float16, 8bit, 4bit"):
        chosen_precision("float32")


def test_without_bitsandbytes_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="needs the package bitsandbytes; install it"):
        loading_settings("4bit")


def test_what_a_base_needs_is_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_cost, "read_speed", lambda: 1e9)
    monkeypatch.setattr(base_cost, "product_speed", lambda: 1e12)
    cost = BaseCost(1_000_000_000, 2_000_000_000)
    assert [cost.serve_bytes(one) for one in ("float32", "bfloat16", "8bit")] == [4_900_000_000, 2_700_000_000, 1_600_000_000]  # fmt: skip # noqa: E501
    assert cost.answer_seconds("8bit") == 64
    assert cost.download_minutes == pytest.approx(2e9 * 8 / 1e8 / 60)
    config = KNOWN_BASES["facebook/opt-2.7b"]
    assert config.cost.download_bytes == 2 * config.parameters
    from sku.core.config import TrainConfig

    ten = TrainConfig(steps=10, batch_size=2, max_tokens=100, disassociation_answers=1)
    assert cost.train_hours(ten) == pytest.approx(6e9 * 6 * 100 * 10 / 1e12 / 3600)


def test_a_base_that_does_not_fit_is_told_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(base_cost, "machine_bytes", lambda: 16_000_000_000)
    seven = BaseCost(7_000_000_000, 14_000_000_000)
    with pytest.raises(OutOfMemory, match=r"31.3 GB of memory in float32.*nothing was fetched; set SKU_PRECISION=bfl"):
        check_room("a/b", BaseCost(7_000_000_000, 0), "float32")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000_000))
    with pytest.raises(Unavailable, match=r"a/b is 14.0 GB to fetch, and 1.0 GB are free"):
        check_room("a/b", seven, "4bit", tmp_path / "not" / "there")


def test_the_hub_is_asked_for_sizes_and_the_check_comes_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    files = {"model.safetensors": 8_000, "pytorch_model.bin": 9_000, "config.json": 10, "readme.md": 5}
    about = SimpleNamespace(
        siblings=[SimpleNamespace(rfilename=name, size=size) for name, size in files.items()],
        safetensors=SimpleNamespace(total=4_000),
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: about)
    assert base_cost.hub_model("me/mine") == HubModel(4_000, 8_010)
    assert cost_of("me/mine") == BaseCost(4_000, 8_010)
    asked: list[Any] = []
    monkeypatch.setattr(base_cost, "machine_bytes", lambda: 1)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: asked.append(a))
    with pytest.raises(OutOfMemory, match="nothing was fetched"):
        provision_base("me/mine")
    assert not asked


def test_a_folder_that_holds_no_base_has_no_cost(pico_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        cost_of(str(tmp_path))
    folder = Path(shutil.copytree(pico_folder, tmp_path / "base"))
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="is cut or damaged"):
        cost_of(str(folder))


def test_the_parameters_of_a_folder_are_counted(pico_folder: Path, pico: VariantModel) -> None:
    whole = sum(weight.numel() for weight in pico.network.state_dict().values())
    assert cost_of(str(pico_folder)) == BaseCost(whole, 0)
    assert pretrained.cost_of("nobody/nothing") is None, "the tests are offline"
