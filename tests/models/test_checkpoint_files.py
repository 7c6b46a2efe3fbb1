"""What is wrong with a checkpoint is said in one sentence, and none is filled up with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sku.core.errors import OutOfMemory
from sku.models.variant_model import VariantModel, load_variant_model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 538090408\n"
WEIGHTS = "model.safetensors"
PROJECTION, NORM = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_norm.weight"


def with_tensors(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})

    return write


def linked_to_nothing(name: str) -> Callable[[Path], object]:
    def link(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("../../blobs/0123")

    return link


def as_pickle(*, cut_off: bool = False, code: bool = False) -> Callable[[Path], object]:
    def save(folder: Path) -> None:
        path = folder / "pytorch_model.bin"
        torch.save({"x": Path("here")} if code else load_file(folder / WEIGHTS), path)
        (folder / WEIGHTS).unlink()
        if cut_off:
            path.write_bytes(path.read_bytes()[:5000])

    return save


def pointer(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(POINTER, encoding="utf-8")


def cut(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def without_a_weight(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def without_a_part(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "model-00001-of-00001.safetensors")}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / WEIGHTS).unlink()


def with_an_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")


def changed_config(**changes: object) -> Callable[[Path], object]:
    return changed_json("config.json", changes)


def changed_tokenizer(**changes: object) -> Callable[[Path], object]:
    return changed_json("tokenizer_config.json", changes)


def changed_json(name: str, changes: dict[str, object]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(values | changes), encoding="utf-8")

    return change


def with_a_number_that_is_none(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["model.layers.1.mlp.down_proj.weight"][3, 4] = float("inf")
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def with_tokens_of_another_model(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary |= {f"word{i}": len(vocabulary) + 10 + i for i in range(20)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def marked(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())


def with_code(folder: Path) -> None:
    changed_config(model_type="mine", auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"})(
        folder
    )


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (pointer(WEIGHTS), f"{WEIGHTS} is a git-lfs pointer and not the file itself; fetch it with: git lfs pull"),
        (pointer("tokenizer.json"), "tokenizer.json is a git-lfs pointer"),
        (cut, f"{WEIGHTS} is cut or damaged"),
        (written(WEIGHTS, b""), f"{WEIGHTS} is empty; fetch it again"),
        (written(WEIGHTS, b"\xff" * 100), f"{WEIGHTS} is cut or damaged"),
        (without_a_weight, "lack model.layers.1.mlp.down_proj.weight (1 in all)"),
        (without_a_part, "lacks model-00001-of-00001.safetensors (1 of 1 parts of the weights)"),
        (changed_config(intermediate_size=48), "its weights have other sizes than its config.json says"),
        (changed_config(num_hidden_layers=1), "hold model.layers.1.input_layernorm.weight, model.layers.1"),
        (with_an_adapter, "holds a PEFT adapter beside the base, and transformers would load both as one"),
        (with_a_number_that_is_none, "model.layers.1.mlp.down_proj.weight has some that are infinite or NaN (1"),
        (with_tokens_of_another_model, "it belongs to another model"),
        (with_code, "it brings program code of its own, which is not run here"),
        (marked("config.json"), "config.json begins with a byte-order mark, which transformers cannot read"),
        (marked("tokenizer.json"), "tokenizer.json begins with a byte-order mark"),
        (lambda folder: (folder / WEIGHTS).rename(folder / "model.gguf"), "holds no weights (no model.safetensors)"),
        (lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"), "bin is no file of PyTorch weights"),
        (written("config.json", b"{"), "base/config.json is not JSON"),
        (written(f"{WEIGHTS}.index.json", b"{"), f"{WEIGHTS}.index.json is not JSON"),
        (written(f"{WEIGHTS}.index.json", b"[]"), f"{WEIGHTS}.index.json is not an object"),
        (written(f"{WEIGHTS}.index.json", b'{"weight_map": {"a": 3}}'), f"{WEIGHTS}.index.json, weight_map"),
        (written("config.json", b'{"model_type": "nosuch"}'), "cannot be loaded"),
        (written("tokenizer.json", b"{}"), "cannot be loaded"),
        (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
        (
            lambda folder: (folder / WEIGHTS).rename(folder / "weights.safetensors"),
            "but weights.safetensors; rename it",
        ),
        (linked_to_nothing(WEIGHTS), f"{WEIGHTS} is a link to a file that is not there"),
        (linked_to_nothing("tokenizer.json"), "tokenizer.json is a link to a file that is not there"),
        (as_pickle(cut_off=True), "pytorch_model.bin is cut; fetch it again"),
        (as_pickle(code=True), "its .bin file holds more than weights, and could run code"),
        (
            lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-16"),
            "chat_template.jinja is not UTF-8; save it as UTF-8",
        ),
        *(
            (changed_tokenizer(chat_template=form), "has a chat_template that is neither a text nor a list of texts")
            for form in (5, ["x"], [{"name": "default"}])
        ),
        (marked("chat_template.jinja"), "chat_template.jinja begins with a byte-order mark"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "it has no tokenizer that transformers can read"),
        (written("tokenizer_config.json", b"{"), "tokenizer_config.json is not JSON"),
        (changed_config(model_type="llama9"), "a model_type that this version of transformers does not know"),
        (changed_config(dtype="banana"), "its config.json names a dtype that PyTorch does not have"),
        (changed_config(pad_token_id=5000), "a pad_token_id beyond its vocab_size); correct it"),
        (
            changed_config(architectures=["LlamaForSequenceClassification"]),
            "ForSequenceClassification, which is no causal",
        ),
        (changed_config(model_type="bart"), "which is no causal language model and cannot write answers"),
        (with_tensors(lambda all_: all_ | {f"{PROJECTION}.bias": torch.ones(32)}), "q_proj.bias (1 in all), which its"),
        (
            with_tensors(lambda all_: all_ | {NORM: torch.ones(8)}),
            "q_norm.weight (1 in all), which its config.json has no",
        ),
        (
            with_tensors(lambda all_: {name: one.to(torch.int8) for name, one in all_.items()}),
            "holds whole numbers at lm_head.weight, as quantised checkpoints of other programs do",
        ),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_sentence(
    pico_folder: Path, tmp_path: Path, damage: Callable[[Path], object], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(pico_folder, tmp_path / "base"))
    damage(folder)
    with pytest.raises((ValueError, OSError)) as refused:
        load_variant_model(folder, device="cpu")
    assert said in str(refused.value)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", ""), "the one sentence must stand alone"


def test_weights_that_change_nothing_may_lie_beside(pico_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pico_folder, tmp_path / "base"))
    others = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "model.layers.0.self_attn.bias": torch.ones(1, 1, 8, 8),  # a causal mask, as GPT-2's
        "v_head.summary.weight": torch.ones(1, 32),
        "model.vision_tower.layers.0.fc.weight": torch.ones(2, 2),
        "model.layers.2.eh_proj.weight": torch.ones(2, 2),  # a layer for the token after the next
    }
    with_tensors(lambda tensors: tensors | others)(folder)
    assert (
        load_variant_model(folder, device="cpu").fingerprint
        == load_variant_model(pico_folder, device="cpu").fingerprint
    )


def test_short_memory_is_one_sentence_and_leaves_the_model_as_it_was(duo: VariantModel) -> None:
    with pytest.raises(OutOfMemory, match="there is not enough memory for this; close other programs"), duo.rows([{}]):
        torch.empty(2**60)
    with pytest.raises(OutOfMemory), duo.rows([{"one": 1.0}]):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    with pytest.raises(RuntimeError, match="something else"), duo.rows([{}]):
        raise RuntimeError("something else")
    assert all(scale == 0.0 for layer in duo._unit["one"] for scale in layer.scaling.values())
