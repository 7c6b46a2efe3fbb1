"""Laws of rows of coefficients (design, section 1)."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from sku.core.runs import Manifest, Run, write_manifest
from sku.models.variant_model import VariantModel, fingerprint
from sku.training.export import write_summed_adapter
from tests.conftest import ARCHITECTURES, build_network, byte_tokenizer, save_adapter

IDS = torch.randint(0, 256, (1, 12), generator=torch.Generator().manual_seed(5))


def logits(model: VariantModel, rows: list[dict[str, float]], ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad(), model.rows(rows) as network:
        return network(input_ids=ids.expand(len(rows), -1)).logits


def merged(network: object, adapter: Path, coefficient: float, scratch: Path) -> torch.Tensor:
    """Logits of dense weights base + coefficient * tau."""
    about = Manifest("sku", {}, "pico", "")
    shutil.copytree(adapter, scratch / "run" / "adapter", dirs_exist_ok=True)
    write_summed_adapter([(Run(scratch / "run", about), coefficient)], scratch / "baked")
    dense = PeftModel.from_pretrained(copy.deepcopy(network), scratch / "baked").merge_and_unload()
    with torch.no_grad():
        return dense(input_ids=IDS).logits


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_row_coefficients_equal_merged_weights(architecture: str, tmp_path: Path) -> None:
    network = build_network(architecture)
    adapter = save_adapter(network, tmp_path / "adapter", seed=3)
    model = VariantModel(copy.deepcopy(network), byte_tokenizer())
    model.add("tau", adapter)
    for coefficient in (0.0, 0.5, -1.0, 1.0, 2.0):
        expected = merged(network, adapter, coefficient, tmp_path)
        got = logits(model, [{"tau": coefficient}])
        assert (got - expected).abs().max() < 1e-4, f"{architecture} at {coefficient} is not base + c * tau"


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_zero_coefficient_is_the_base_model(architecture: str, tmp_path: Path) -> None:
    network = build_network(architecture)
    model = VariantModel(copy.deepcopy(network), byte_tokenizer())
    with torch.no_grad():
        base = network(input_ids=IDS.expand(3, -1)).logits
    model.add("tau", save_adapter(network, tmp_path / "adapter", seed=3))
    got = logits(model, [{}, {"tau": 0.0}, {"tau": 1.0}])
    assert torch.equal(got[:2], base[:2]), "coefficient 0 must be the base bit for bit"
    assert not torch.allclose(got[2], base[2]), "the adapter does nothing, so this test shows nothing"


def test_rows_of_two_adapters_equal_separate_runs(duo: VariantModel) -> None:
    rows = [{}, {"one": -1.0}, {"two": 1.0}, {"one": -2.0, "two": 0.5}]
    together = logits(duo, rows)
    for row, expected in zip(rows, together, strict=True):
        alone = logits(duo, [row])[0]
        assert torch.allclose(alone, expected, atol=1e-5), f"row {row} is affected by the other rows"


def test_scaling_the_vector_equals_scaling_the_coefficient(duo: VariantModel) -> None:
    before = logits(duo, [{"one": 2.0}])
    for layer in duo._unit["one"]:
        layer.lora_B["one"].weight.data.mul_(2.0)
    assert torch.allclose(logits(duo, [{"one": 1.0}]), before, atol=1e-5)


def test_negating_twice_changes_nothing(duo: VariantModel) -> None:
    before = logits(duo, [{"one": 1.5}])
    for layer in duo._unit["one"]:
        layer.lora_B["one"].weight.data.mul_(-1.0)
    assert torch.equal(logits(duo, [{"one": -1.5}]), before)


def test_an_exception_leaves_the_model_as_it_was(duo: VariantModel) -> None:
    before = logits(duo, [{}])
    with pytest.raises(RuntimeError, match="boom"), duo.rows([{"one": 1.0}]):
        raise RuntimeError("boom")
    with torch.no_grad():
        at_rest = duo.network(input_ids=IDS).logits
    assert torch.equal(at_rest, before), "at rest the model is the base"
    assert torch.equal(logits(duo, [{}]), before), "the lock must be free and the rows gone"


def test_a_batch_of_another_size_is_refused_not_broadcast(duo: VariantModel) -> None:
    with (
        pytest.raises(ValueError, match="batch of 1 rows came in a block set for 2"),
        duo.rows([{}, {"one": 1.0}]) as n,
    ):
        n(input_ids=IDS)


def test_an_unknown_adapter_is_named_with_the_known_ones(duo: VariantModel) -> None:
    with (
        pytest.raises(ValueError, match=r"\['three'\] are not loaded; loaded are one, two"),
        duo.rows([{"three": 1.0}]),
    ):
        pass


def test_removing_adapters_brings_the_base_back(duo: VariantModel) -> None:
    base = logits(duo, [{}])
    kept = logits(duo, [{"two": 1.0}])
    duo.remove("one")
    assert torch.equal(logits(duo, [{"two": 1.0}]), kept)
    duo.remove("two")
    assert torch.equal(logits(duo, [{}]), base)
    with pytest.raises(ValueError, match="not loaded"):
        duo.remove("two")


def test_adapters_can_be_added_again_after_the_last_was_removed(duo: VariantModel, adapters: dict[str, Path]) -> None:
    before = logits(duo, [{"one": -1.0}])
    duo.remove("two")
    duo.remove("one")
    duo.add("one", adapters["one"])
    assert torch.equal(logits(duo, [{"one": -1.0}]), before)


def test_an_adapter_of_another_base_is_refused(pico: VariantModel, adapters: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(adapters["one"], tmp_path / "run" / "adapter")
    write_manifest(tmp_path / "run", Manifest("tv", {}, "another", "0000", status="finished"))
    with pytest.raises(ValueError, match=f"fingerprint 0000, this base has {pico.fingerprint}"):
        pico.add("one", tmp_path / "run" / "adapter")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peft_type": "LOHA"}, "type LOHA"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "trained bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_only_plain_lora_is_accepted(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapters["one"], folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=said):
        pico.add("odd", folder)
    assert pico.adapters == ()


def test_an_adapter_with_infinite_weights_is_refused(
    duo: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapters["one"], folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors[next(iter(tensors))][0, 0] = float("inf")  # 0 * inf is not a number: coefficient 0 would not be the base
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="not finite"):
        duo.add("broken", folder)
    assert duo.adapters == ("one", "two")


def change_weights(folder: Path, adapter: Path, change: Callable[[str, Tensor], tuple[str, Tensor]]) -> Path:
    """A copy of `adapter` with other tensors."""
    shutil.copytree(adapter, folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    changed = dict(change(name, tensor) for name, tensor in tensors.items())
    save_file(changed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def test_an_adapter_whose_file_is_damaged_is_refused_and_leaves_the_base_alone(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = change_weights(tmp_path / "adapter", adapters["one"], lambda name, tensor: (name, tensor))
    whole = (folder / "adapter_model.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        (folder / "adapter_model.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be read"):
            pico.add("one", folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has no adapter_model\.safetensors .* get the whole folder"):
        pico.add("one", folder)
    pico.add("one", adapters["one"])
    assert pico.adapters == ("one",)


def test_an_adapter_of_other_sizes_is_refused_and_leaves_the_base_alone(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    for factor, axis in (("lora_A", 1), ("lora_B", 0)):

        def longer(name: str, tensor: Tensor, factor: str = factor, axis: int = axis) -> tuple[str, Tensor]:
            return name, torch.cat([tensor, tensor], axis) if factor in name else tensor

        with pytest.raises(ValueError, match=r"where this base has \d+; use its own base"):
            pico.add("one", change_weights(tmp_path / factor, adapters["one"], longer))
    pico.add("one", adapters["one"])


@pytest.mark.parametrize("end", ["lm_head", "model.embed_tokens"])
def test_an_adapter_on_either_end_is_refused(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path, end: str
) -> None:
    def moved(name: str, tensor: Tensor) -> tuple[str, Tensor]:
        return name.replace("model.layers.0.self_attn.q_proj", end), tensor

    with pytest.raises(ValueError, match=f"changes {end}; rows of coefficients need layers between"):
        pico.add("one", change_weights(tmp_path / "adapter", adapters["one"], moved))


def test_a_folder_without_an_adapter_is_named(pico: VariantModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no adapter"):
        pico.add("none", tmp_path)


def test_the_fingerprint_knows_bases_apart_but_not_precisions() -> None:
    one, other = build_network(seed=0), build_network(seed=1)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(copy.deepcopy(one).bfloat16())


def test_several_adapters_are_checked_once_and_a_changed_base_is_found_at_the_end_of_the_block(
    pico: VariantModel, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[str] = []
    check = VariantModel.check_base
    monkeypatch.setattr(VariantModel, "check_base", lambda self, after: (checks.append(after), check(self, after)))
    with pico.checked_once():
        for name, folder in adapters.items():
            pico.add(name, folder)
        with pico.checked_once():
            pico.remove("one")
    assert checks == ["removing adapter one"]
    with pico.checked_once():
        pass
    assert len(checks) == 1, "nothing was loaded, so there is nothing to check"
    pico.add("one", adapters["one"])
    assert len(checks) == 2, "after the block, each is checked at once again"
    weight = pico.network.get_input_embeddings().weight

    def change_in_block() -> None:
        with pico.checked_once():
            pico.remove("one")
            weight.data[0, 0] += 1

    with pytest.raises(RuntimeError, match="the base is not the one that was loaded"):
        change_in_block()
