"""The full hash of a base sees every single value, and no adapter."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sku.models import weights_hash as hashes
from sku.models.variant_model import VariantModel, load_variant_model
from sku.models.weights_hash import checkpoint_stamp, hashes_file, weights_hash


def test_one_changed_value_changes_the_hash(pico: VariantModel) -> None:
    before = weights_hash(pico.network)
    weight = pico.network.model.layers[1].mlp.down_proj.weight
    weight.data[3, 5] += 1e-3
    assert weights_hash(pico.network) != before
    weight.data[3, 5] -= 1e-3


def test_adapters_do_not_change_it(pico: VariantModel, adapters: dict[str, Path]) -> None:
    before = weights_hash(pico.network)
    pico.add("one", adapters["one"])
    assert weights_hash(pico.network) == before
    pico.remove("one")
    assert weights_hash(pico.network) == before


@pytest.fixture
def base(pico_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint whose hash is remembered although it is small, and a home without hashes."""
    monkeypatch.setattr(hashes, "MIN_REMEMBERED_BYTES", 0)
    monkeypatch.setenv("SKU_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(pico_folder, tmp_path / "base"))


def hashed_at_load(base: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Load the base; whether all its weights were hashed for that."""
    computed: list[str] = []

    def compute(network: object) -> str:
        computed.append(weights_hash(network))
        return computed[-1]

    monkeypatch.setattr(hashes, "weights_hash", compute)
    model = load_variant_model(base)
    assert model.loaded_hash == weights_hash(model.network)
    return bool(computed)


def test_a_base_is_hashed_at_its_first_load_only(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [hashed_at_load(base, monkeypatch) for _ in range(3)] == [True, False, False]
    hashes_file().write_text("{ not JSON")
    assert [hashed_at_load(base, monkeypatch) for _ in range(2)] == [True, False]


def test_a_file_that_changed_is_hashed_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, stamps = (
        base / "model.safetensors",
        [checkpoint_stamp(base, "float32"), checkpoint_stamp(base, "bfloat16")],
    )
    assert hashed_at_load(base, monkeypatch)
    os.utime(weights, ns=(1, 1))
    stamps.append(checkpoint_stamp(base, "float32"))
    assert hashed_at_load(base, monkeypatch), "another time"
    other = shutil.copy2(weights, base / "copy")
    Path(other).replace(weights)
    stamps.append(checkpoint_stamp(base, "float32"))
    assert hashed_at_load(base, monkeypatch), "another file of the same size and time"
    assert len(set(stamps)) == 4


def test_weights_that_are_not_those_of_the_first_load_are_found_when_an_adapter_is_added(
    base: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hashed_at_load(base, monkeypatch)
    again = load_variant_model(base)
    again.network.model.layers[0].mlp.up_proj.weight.data[0, 0] += 1e-3
    with pytest.raises(RuntimeError, match="the base is not the one that was loaded"):
        again.add("one", adapters["one"])


def test_a_home_that_cannot_be_written_to_costs_only_time(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes_file().parent.mkdir()
    hashes_file().mkdir()
    assert [hashed_at_load(base, monkeypatch) for _ in range(2)] == [True, True]
