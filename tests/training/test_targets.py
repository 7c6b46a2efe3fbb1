"""The names of the layers to adapt: checked against the base, with defaults for every architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPTNeoXConfig, Phi3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from sku.core.config import TrainConfig
from sku.training import train_data, trainer
from sku.training.targets import resolve_targets
from sku.training.trainer import run_training
from tests.conftest import build_network
from tests.training.runs import changed

_SMALL = {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
_NETWORKS: dict[str, Any] = {
    "gpt2": lambda: GPT2Config(vocab_size=260, n_embd=32, n_layer=1, n_head=4),
    "phi3": lambda: Phi3Config(intermediate_size=64, num_key_value_heads=4, pad_token_id=0, **_SMALL),
    "neox": lambda: GPTNeoXConfig(intermediate_size=64, **_SMALL),
}


def network_of(name: str) -> Any:
    return AutoModelForCausalLM.from_config(_NETWORKS[name]()) if name in _NETWORKS else build_network(name)


@pytest.mark.parametrize(
    ("name", "default", "every"),
    [
        ("llama", ("q_proj", "v_proj"), "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"),
        ("opt", ("q_proj", "v_proj"), "k_proj v_proj q_proj out_proj fc1 fc2"),
        ("gpt2", ("c_attn",), "c_attn c_proj c_fc"),
        ("phi3", ("qkv_proj",), "o_proj qkv_proj gate_up_proj down_proj"),
        ("neox", ("query_key_value",), "query_key_value dense dense_h_to_4h dense_4h_to_h"),
    ],
)
def test_every_architecture_has_defaults_and_all_means_all_layers_between_the_ends(
    name: str, default: tuple[str, ...], every: str
) -> None:
    network = network_of(name)
    assert resolve_targets(network, TrainConfig.targets) == default
    assert set(resolve_targets(network, ("all",))) == set(every.split())


@pytest.mark.parametrize("target", ["qproj", "self_attn", "input_layernorm", "proj"])
def test_a_name_that_is_no_linear_layer_is_refused_with_the_names_that_there_are(target: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the whole text is compared)
        resolve_targets(build_network(), ("v_proj", target))
    there = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
    assert str(refused.value) == (
        f"--target {target} is no linear layer of this base; it has {there}, and all means all of them"
    )


def test_a_part_of_a_path_still_names_one_layer() -> None:
    assert resolve_targets(build_network(), ("0.self_attn.q_proj",)) == ("0.self_attn.q_proj",)


def test_all_targets_are_trained(config: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", changed(config, targets=("all",), steps=1))
    saved = json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert set(saved["target_modules"]) == set(resolve_targets(build_network(), ("all",)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": ("qproj",)}, "--target qproj is no linear layer"),
        ({"max_tokens": 513}, "has a context of 512 tokens; lower --max-tokens"),
        ({"normal": ("self", "gone.jsonl")}, "gone.jsonl"),
    ],
)
def test_a_wrong_setting_is_found_before_the_base_writes_its_answers(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    def too_late(*_: Any) -> None:
        raise AssertionError("the base wrote answers before the setting was checked")

    monkeypatch.setattr(train_data, "write_base_answers", too_late)
    with pytest.raises((ValueError, OSError), match=said):
        run_training(tmp_path / "run", changed(config, normal=changes.pop("normal", ("self",)), **changes))


def test_a_run_folder_that_cannot_be_written_is_found_before_the_base_is_loaded(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "load_model", None)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"--out .*file is a file; name a folder"):
        run_training(tmp_path / "file", config)
