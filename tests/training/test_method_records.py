"""What the records of terms and methods promise is what a training does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sku.core import methods, terms
from sku.core.config import PRESETS, TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.core.terms import TERMS, LineStyle, Term
from sku.training import lora
from sku.training.losses import nll
from sku.training.losses.inputs import TermInputs
from sku.training.objective import find_loss
from sku.training.term_batches import TermBatches
from sku.training.trainer import run_training

ADAPTER = Path("adapter") / "adapter_model.safetensors"


@pytest.fixture
def config(pico_folder: Path, pairs_file: Path, normal_file: Path) -> TrainConfig:
    return TrainConfig(
        method="tv",
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
        steps=3,
        batch_size=2,
        rank=2,
        max_tokens=128,
        checkpoint_every=1,
    )


def change_method(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    monkeypatch.setitem(methods.METHODS, name, dataclasses.replace(METHODS[name], **changes))


@pytest.mark.parametrize("name", TERMS)
def test_every_term_names_a_loss_that_is_there(name: str) -> None:
    loss = find_loss(TERMS[name].loss)
    assert f"{loss.__module__}:{loss.__name__}" == f"sku.training.losses.{TERMS[name].loss}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_told_apart_by_marker_and_their_terms_by_line(name: str) -> None:
    method = METHODS[name]
    assert [other for other in METHODS if METHODS[other].marker == method.marker] == [name]
    assert len({TERMS[term].style for term in method.terms}) == len(method.terms)


@pytest.mark.parametrize(("trained", "frozen"), [("B", "lora_A"), ("A", "lora_B")])
def test_only_the_factor_that_a_method_trains_is_changed(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: str, frozen: str
) -> None:
    monkeypatch.setattr(lora, "set_ones", set_ones, raising=False)
    change_method(monkeypatch, "tv", trained_factors=trained, prepare="lora:set_ones")
    tensors = load_file(run_training(tmp_path / "run", config).folder / ADAPTER)
    assert len(tensors) == 8
    for name, tensor in tensors.items():
        untouched = torch.equal(tensor, torch.full_like(tensor, 0.01))
        assert untouched == (f".{frozen}." in name), name


def set_ones(peft_model: Any, batches: TermBatches, config: TrainConfig) -> None:
    """A preparation: every factor becomes 0.01."""
    assert batches.harmful
    for name, parameter in peft_model.named_parameters():
        if ".lora_" in name:
            parameter.fill_(0.01)


def test_a_resumed_run_is_prepared_again_and_ends_in_the_same_adapter(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen factor is in no checkpoint, so the preparation must make it again."""
    monkeypatch.setattr(lora, "set_ones", set_ones, raising=False)
    change_method(monkeypatch, "tv", trained_factors="B", prepare="lora:set_ones")
    straight = run_training(tmp_path / "straight", config)
    asked = []

    def cancel_after_the_first_step() -> bool:
        asked.append(1)
        return (tmp_path / "resumed" / "log.jsonl").is_file()

    with pytest.raises(Cancelled):
        run_training(tmp_path / "resumed", config, cancelled=cancel_after_the_first_step)
    resumed = run_training(tmp_path / "resumed", config, resume=True)
    assert asked
    first, second = load_file(straight.folder / ADAPTER), load_file(resumed.folder / ADAPTER)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_term_runs_where_it_says_and_gets_the_hidden_states_that_it_asks_for(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a negated method `served` is base - tau: descending there makes the answer likelier in what is served."""
    seen: list[TermInputs] = []

    def watch(inputs: TermInputs, config: TrainConfig) -> Tensor:
        seen.append(inputs)
        return nll.descend(inputs, config)

    monkeypatch.setattr(nll, "watch", watch, raising=False)
    term = Term("nll:watch", "watched", "harmful", LineStyle("#000000", "solid"), ("served",), needs_hidden=True)
    monkeypatch.setitem(terms.TERMS, "distortion", term)
    served = run_training(tmp_path / "served", dataclasses.replace(config, steps=2))
    change_method(monkeypatch, "tv", negated=False)
    applied = run_training(tmp_path / "applied", dataclasses.replace(config, steps=2))
    for inputs in seen:
        assert inputs.hidden is not None
        assert inputs.base_hidden is not None
        assert inputs.hidden.shape == inputs.base_hidden.shape == (len(inputs.targets), 32)
        assert inputs.base_logits is None, "nobody asked for them"
    assert seen[0].hidden is not None
    assert seen[0].base_hidden is not None
    assert torch.allclose(seen[0].hidden, seen[0].base_hidden, atol=1e-5), "tau is 0 before the first step"
    first, second = load_file(served.folder / ADAPTER), load_file(applied.folder / ADAPTER)
    moved = [name for name in first if ".lora_B." in name]
    assert moved
    for name in moved:
        assert torch.allclose(first[name], -second[name], atol=1e-6), "the sign of tau is where the rows ran"
        assert first[name].abs().max() > 0


def test_settings_of_a_method_lie_between_those_of_a_preset_and_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    recommended = {"learning_rate": 0.5, "rank": 7, "weights": {"preservation": 9.0}}
    change_method(monkeypatch, "sku", settings=recommended)
    config = PRESETS["quick"].config(method="sku", rank=3)
    assert (config.learning_rate, config.rank, config.steps) == (0.5, 3, PRESETS["quick"].settings["steps"])
    assert config.weights == {"preservation": 9.0}
    assert PRESETS["quick"].config(method="sku", weights={"preservation": 1.0}).weights == {"preservation": 1.0}
    assert PRESETS["quick"].config(method="tv").learning_rate == TrainConfig.learning_rate
