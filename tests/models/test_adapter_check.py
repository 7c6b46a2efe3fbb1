"""Adapters as people bring them: plain LoRA is what PEFT says, and all else is refused with the base as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from sku.models.adapter_check import CONFIG_FILE, WEIGHTS_FILE
from sku.models.variant_model import VariantModel
from sku.models.weights_hash import weights_hash
from tests.conftest import build_network, byte_tokenizer
from tests.models.test_checkpoint_files import POINTER
from tests.models.test_variant_model import IDS, logits


def save_made(folder: Path, network: Any, **settings: Any) -> Tensor:
    """Save an adapter as PEFT makes it with these settings, and return the logits that PEFT computes with it."""
    torch.manual_seed(1)
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings
    peft_model = get_peft_model(network, LoraConfig(**config)).eval()
    with torch.no_grad():
        for name, weight in peft_model.named_parameters():
            if "lora_" in name:
                weight.add_(torch.randn_like(weight) * 0.2)
            elif "trainable_tokens" in name:
                weight.add_(1.0)
    peft_model.save_pretrained(folder)
    with torch.no_grad():
        logits: Tensor = peft_model(input_ids=IDS).logits
    return logits


def copied(adapter: Path, folder: Path, **changes: Any) -> Path:
    """A copy of an adapter with other settings."""
    shutil.copytree(adapter, folder)
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    (folder / CONFIG_FILE).write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def link_to_nothing(path: Path) -> None:
    """Replace a file by a link as copying the hub's cache leaves it."""
    path.unlink()
    path.symlink_to("../../blobs/0123")


def changed_tensors(adapter: Path, folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Path:
    """A copy of an adapter with other tensors."""
    copied(adapter, folder)
    save_file(change(load_file(folder / WEIGHTS_FILE)), folder / WEIGHTS_FILE, metadata={"format": "pt"})
    return folder


GOOD: list[dict[str, Any]] = [
    {},
    {"use_rslora": True},
    {"rank_pattern": {"v_proj": 8}, "alpha_pattern": {"v_proj": 2, r"model\.layers\.0.*q_proj": 32}},
    {"init_lora_weights": "gaussian"},
    {"init_lora_weights": "orthogonal"},
    {"init_lora_weights": False},
    {"target_modules": "all-linear"},
    {"target_modules": r".*\.(q|v)_proj"},
    {"layers_to_transform": [1], "layers_pattern": "layers"},
    {"exclude_modules": ["v_proj"]},
    {"lora_dropout": 0.5},
    {"init_lora_weights": "mica"},
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_plain_lora_is_what_peft_says(pico: VariantModel, tmp_path: Path, settings: dict[str, Any]) -> None:
    base = logits(pico, [{}])
    wanted = save_made(tmp_path / "adapter", build_network(), **settings)
    pico.add("one", tmp_path / "adapter")
    got = logits(pico, [{}, {"one": 0.0}, {"one": 1.0}])
    assert torch.equal(got[:2], base.expand(2, -1, -1))
    assert (got[2] - wanted[0]).abs().max() < 1e-5
    assert (wanted[0] - base[0]).abs().max() > 0.1, "the adapter does nothing, so this test shows nothing"
    pico.remove("one")
    assert torch.equal(logits(pico, [{}]), base)


def test_the_linear_layers_of_gpt2_are_what_peft_says(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=260, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=256)
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config).eval()
    model = VariantModel(network, byte_tokenizer())
    torch.manual_seed(0)
    copy = AutoModelForCausalLM.from_config(config).eval()
    wanted = save_made(tmp_path / "adapter", copy, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)
    model.add("one", tmp_path / "adapter")
    assert (logits(model, [{}, {"one": 1.0}])[1] - wanted[0]).abs().max() < 1e-5


MADE: list[tuple[dict[str, Any], str]] = [
    ({"init_lora_weights": "pissa"}, 'changes the base (init_lora_weights: "pissa")'),
    ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
    ({"init_lora_weights": "olora"}, "olora"),
    ({"layer_replication": [[0, 2], [1, 2]]}, "replicated layers"),
    ({"trainable_token_indices": [1, 2]}, "trained token rows"),
    ({"target_modules": ["q_proj"], "target_parameters": ["v_proj.weight"]}, "target_parameters"),
    ({"alora_invocation_tokens": [1, 2]}, "aLoRA"),
    ({"lora_bias": True}, "a trained bias"),
    ({"use_dora": True}, "DoRA"),
]


@pytest.mark.parametrize(("settings", "said"), MADE, ids=str)
def test_an_adapter_that_is_more_than_plain_lora_is_refused_and_the_base_stays(
    pico: VariantModel, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    save_made(tmp_path / "adapter", build_network(), **settings)
    before, base = weights_hash(pico.network), logits(pico, [{}])
    with pytest.raises(ValueError, match="rows of coefficients need plain LoRA") as refused:
        pico.add("one", tmp_path / "adapter")
    assert said in str(refused.value)
    assert pico.adapters == ()
    assert weights_hash(pico.network) == before
    assert torch.equal(logits(pico, [{}]), base)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"init_lora_weights": "corda"}, "corda"),
        ({"init_lora_weights": "lora_ga"}, "lora_ga"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": 1}, "init_lora_weights: 1"),
        ({"a_setting_of_the_future": 1}, "a_setting_of_the_future: 1"),
        ({"use_qalora": True}, "use_qalora"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
        ({"peft_type": None}, "type None instead of LORA"),
        ({"r": "many"}, "r is 'many'"),
        ({"rank_pattern": {"(": 4}}, "no regular expression"),
        ({"rank_pattern": {"(a+)+$": 4}}, "which may take for ever to match; write the names of the layers instead"),
        ({"alpha_pattern": {".*" * 30 + "X": 4}}, "which may take for ever to match"),
        ({"alpha_pattern": {"q" * 201: 4}}, "which may take for ever to match"),
        ({"r": 5}, "rank 4 at model.layers.0.self_attn.q_proj, but its settings say 5"),
        ({"lora_alpha": None, "alpha_pattern": {"q_proj": "two"}}, "alpha_pattern"),
    ],
)
def test_a_setting_that_rows_do_not_support_is_named(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        pico.add("one", copied(adapters["one"], tmp_path / "adapter", **change))
    assert "\n" not in str(refused.value)
    assert pico.adapters == ()


def test_settings_that_are_off_or_change_nothing_are_accepted(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    pico.add("one", copied(adapters["one"], tmp_path / "adapter", future=False, other=None, another={}))
    pico.add("two", copied(adapters["two"], tmp_path / "other", init_lora_weights="eva", eva_config={"rho": 2.0}))
    pico.add("three", copied(adapters["one"], tmp_path / "third", ensure_weight_tying=True))


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
            torch.ones(32),
            "not lora_A or lora_B",
        ),
        ("base_model.model.model.layers.0.input_layernorm.weight", torch.ones(32), "not lora_A or lora_B"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", torch.ones(4, 32), "not lora_A"),
        (
            "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight",
            torch.ones(4, 32),
            "no linear layer of this",
        ),
        ("base_model.model.model.layers.0.input_layernorm.lora_A.weight", torch.ones(4, 32), "no linear layer of this"),
        (
            "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
            torch.ones(4, 32),
            "only one of lora_A and lora_B",
        ),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", torch.ones(8, 32), "rank 8 in lora_A and 4"),
    ],
)
def test_tensors_that_are_not_the_two_factors_of_a_layer_are_refused(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path, name: str, tensor: Tensor, said: str
) -> None:
    folder = copied(adapters["one"], tmp_path / "adapter")
    tensors = load_file(folder / WEIGHTS_FILE) | {name: tensor}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=said):
        pico.add("one", folder)
    assert pico.adapters == ()


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: name.replace(".weight", ".default.weight"),
        lambda name: f"module.{name}",
        lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."),
        lambda name: f"_orig_mod.module.{name}",
    ],
    ids=["PEFT in memory", "DDP", "torch.compile", "both"],
)
def test_what_wrappers_add_to_names_does_not_matter(
    duo: VariantModel, adapters: dict[str, Path], tmp_path: Path, renamed: Callable[[str], str]
) -> None:
    folder = copied(adapters["one"], tmp_path / "adapter")
    tensors = {renamed(name): tensor for name, tensor in load_file(folder / WEIGHTS_FILE).items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    duo.add("again", folder)
    got = logits(duo, [{"one": 1.0}, {"again": 1.0}])
    assert torch.equal(got[0], got[1])


def test_names_of_another_library_are_refused_with_those_of_peft(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(adapters["one"], tmp_path / "adapter")
    tensors = {name.removeprefix("base_model.model."): one for name, one in load_file(folder / WEIGHTS_FILE).items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"has tensors named model.* and PEFT names them base_model.model.LAYER.lora_A"
    ):
        pico.add("one", folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), f"has no {WEIGHTS_FILE} (other weights there: none)"),
        (
            lambda folder: (folder / WEIGHTS_FILE).rename(folder / "adapters.safetensors"),
            f"has no {WEIGHTS_FILE} (other weights there: adapters.safetensors); put its weights into one",
        ),
        (lambda folder: link_to_nothing(folder / WEIGHTS_FILE), "is a link to a file that is not there; get the file"),
        (lambda folder: (folder / WEIGHTS_FILE).write_text(POINTER), f"{WEIGHTS_FILE} is a git-lfs pointer"),
        (lambda folder: (folder / CONFIG_FILE).write_text(POINTER), f"{CONFIG_FILE} is a git-lfs pointer"),
        (
            lambda folder: (folder / CONFIG_FILE).write_text('{"fine_tune_type": "lora", "num_layers": 16}'),
            "holds an MLX adapter; convert it to the format of PEFT",
        ),
        (lambda folder: (folder / CONFIG_FILE).write_text('{"r": 4}'), "holds no adapter of PEFT (no peft_type in"),
    ],
    ids=[
        "no weights",
        "other weights",
        "dead link",
        "weights not fetched",
        "settings not fetched",
        "MLX",
        "no settings of PEFT",
    ],
)
def test_what_is_wrong_with_the_files_of_an_adapter_is_said(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    folder = copied(adapters["one"], tmp_path / "adapter")
    damage(folder)
    with pytest.raises(ValueError, match=re.escape(said)):
        pico.add("one", folder)
    assert pico.adapters == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: {}, "has no layer that this base has"),
        (
            lambda tensors: {name: one for name, one in tensors.items() if "layers.0" not in name},
            "has no lora_A and lora_B for model.layers.0.self_attn.q_proj, model.layers.0.self_attn.v_proj, which its "
            "target_modules name; get the whole file",
        ),
        (
            lambda tensors: {name: one.to(torch.int8) for name, one in tensors.items()},
            "has numbers of type int8 at model.layers.0.self_attn.q_proj; save it as float32",
        ),
        (lambda tensors: {name: one.to(torch.float8_e4m3fn) for name, one in tensors.items()}, "of type float8_e4m3fn"),
        (lambda tensors: {name: one * 1e30 for name, one in tensors.items()}, "so its training diverged"),
    ],
    ids=["empty", "a part is lost", "integers", "8 bits", "diverged"],
)
def test_weights_that_are_not_all_of_an_adapter_are_refused(
    pico: VariantModel,
    adapters: dict[str, Path],
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        pico.add("one", changed_tensors(adapters["one"], tmp_path / "adapter", change))
    assert pico.adapters == ()


def test_an_adapter_of_another_type_is_named_by_its_type_alone(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"has type VERA instead of LORA; rows"):
        pico.add("one", copied(adapters["one"], tmp_path / "adapter", peft_type="VERA", d_initial=0.1))


def test_a_missing_rank_is_said(pico: VariantModel, adapters: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"settings say 8 \(the default, as r is missing\)"):
        pico.add("one", copied(adapters["one"], tmp_path / "adapter", r=None))


def test_only_an_initialisation_can_be_converted(pico: VariantModel, adapters: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="convert it to plain LoRA"):
        pico.add("one", copied(adapters["one"], tmp_path / "pissa", init_lora_weights="pissa"))
    with pytest.raises(ValueError, match="train one without it, or choose another"):
        pico.add("one", copied(adapters["one"], tmp_path / "dora", use_dora=True))


def test_a_pickle_is_not_read(pico: VariantModel, adapters: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(adapters["one"], tmp_path / "adapter")
    (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"adapter_model\.bin, a pickle file that can run code"):
        pico.add("one", folder)


def test_a_base_that_changes_while_an_adapter_comes_or_goes_is_noticed(
    duo: VariantModel, adapters: dict[str, Path]
) -> None:
    weight = duo.network.model.layers[1].mlp.down_proj.weight
    weight.data[3, 5] += 1e-3
    with pytest.raises(RuntimeError, match="after removing adapter one the base is not the one that was loaded"):
        duo.remove("one")
    with pytest.raises(RuntimeError, match=r"after loading adapter .*one the base is not the one"):
        duo.add("one", adapters["one"])
