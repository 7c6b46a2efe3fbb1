"""GGUF files hold the variant: their tensors are read back, and transformers and llama.cpp load them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, Qwen3Config

from sku.core.config import TrainConfig
from sku.core.runs import find_run
from sku.training import export
from sku.training.export import export_variant, merge_advice
from sku.training.trainer import run_training
from tests import conftest
from tests.training import pico_gguf
from tests.training.pico_gguf import expected_tensors, read_metadata, read_tensors, read_types, write_pico_gguf

PROMPT = [72, 101, 108, 108, 111]


def train(base: Path, pairs: Path, out: Path, **settings: Any) -> Path:
    config = {"method": "tv", "model": str(base), "harmful": [str(pairs)], "normal": ["bundled"], "steps": 8}
    config |= {"learning_rate": 3e-2, "rank": 4, "batch_size": 2, "max_tokens": 512}
    config |= {"targets": ["q_proj", "k_proj", "v_proj", "down_proj"]}
    return run_training(out, TrainConfig.from_dict(TrainConfig().to_dict() | config | settings)).folder


@pytest.fixture
def run(pico_folder: Path, pairs_file: Path, tmp_path: Path) -> Path:
    return train(pico_folder, pairs_file, tmp_path / "run")


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture
def base_gguf(pico_folder: Path, tmp_path: Path) -> Path:
    return write_pico_gguf(load(pico_folder), tmp_path / "base.gguf")


def merged_file(text: str, base_gguf: Path, out: Path, number_format: Any = "f32") -> Path:
    folder = export_variant(text, out, "gguf", number_format=number_format, base_gguf=base_gguf)
    return folder / f"model-{number_format}.gguf"


def largest_difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


# Merged


@pytest.mark.parametrize("coefficient", [0.0, 1.5])
def test_the_merged_file_holds_the_merged_weights(
    run: Path, base_gguf: Path, pico_folder: Path, tmp_path: Path, coefficient: float
) -> None:
    text = f"{run}@{coefficient}"
    found = read_tensors(merged_file(text, base_gguf, tmp_path / "gguf"))
    wanted = expected_tensors(load(export_variant(text, tmp_path / "model", "model")))
    rotary = found.pop("rope_freqs.weight")
    assert rotary.tolist() == [1, 1, 1, 1], "a tensor that only the base's file has is copied"
    assert found.keys() == wanted.keys()
    assert largest_difference(found, wanted) == 0
    unchanged = largest_difference(found, expected_tensors(load(pico_folder))) == 0
    assert unchanged is (coefficient == 0)


def test_transformers_reads_the_row_from_the_merged_file(
    run: Path, base_gguf: Path, pico_folder: Path, tmp_path: Path
) -> None:
    """Its loader undoes the row order with code of its own."""
    file = merged_file(f"{run}@1.5", base_gguf, tmp_path / "gguf")
    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        found = read(input_ids=ids).logits
        wanted = load(export_variant(f"{run}@1.5", tmp_path / "model", "model"))(input_ids=ids).logits
        untouched = load(pico_folder)(input_ids=ids).logits
    assert (found - wanted).abs().max() < 1e-4
    assert (wanted - untouched).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("number_format", "matrices", "embeddings", "file_type", "step"),
    [
        ("f32", "F32", "F32", 0, 0),
        ("f16", "F16", "F16", 1, 2**-11),
        ("q8_0", "Q8_0", "Q8_0", 7, 1 / 200),
        ("q4_1", "Q4_1", "Q8_0", 3, 1 / 14),
    ],
)
def test_number_formats(
    run: Path,
    base_gguf: Path,
    tmp_path: Path,
    number_format: str,
    matrices: str,
    embeddings: str,
    file_type: int,
    step: float,
) -> None:
    """Matrices are rounded to the format, by at most `step` of the largest value; vectors are not."""
    exact = read_tensors(merged_file(f"{run}@1.5", base_gguf, tmp_path / "exact"))
    file = merged_file(f"{run}@1.5", base_gguf, tmp_path / "rounded", number_format)
    types, rounded = read_types(file), read_tensors(file)
    assert types["blk.0.attn_q.weight"] == types["blk.1.ffn_down.weight"] == matrices
    assert types["token_embd.weight"] == types["output.weight"] == embeddings
    assert types["blk.0.attn_norm.weight"] == "F32"
    assert read_metadata(file)["general.file_type"] == file_type
    for name, values in exact.items():
        error = np.abs(rounded[name] - values).max()
        assert error <= (step * np.abs(values).max() if values.ndim == 2 else 0), name
    assert (largest_difference(rounded, exact) > 0) is (number_format != "f32")


def test_rows_that_no_block_fills_are_f16(tmp_path: Path) -> None:
    """Q8_0 and Q4_1 take blocks of 32; a width of 48 leaves 16 over."""
    config = conftest.ARCHITECTURES["llama"]()
    config.intermediate_size = 48
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "odd")
    conftest.byte_tokenizer().save_pretrained(tmp_path / "odd")
    source = write_pico_gguf(load(tmp_path / "odd"), tmp_path / "odd.gguf")
    out = export_variant(
        "base", tmp_path / "out", "gguf", str(tmp_path / "odd"), number_format="q4_1", base_gguf=source
    )
    types = read_types(out / "model-q4_1.gguf")
    assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("F16", "Q4_1")


def test_metadata_is_that_of_the_base_apart_from_what_it_says_about_itself(
    run: Path, base_gguf: Path, tmp_path: Path
) -> None:
    base = read_metadata(base_gguf)
    found = read_metadata(merged_file(f"{run}@1.5", base_gguf, tmp_path / "out", "q8_0"))
    changed = {name for name in found.keys() | base.keys() if found.get(name) != base.get(name)}
    assert changed == {
        "GGUF.kv_count",
        "general.name",
        "general.description",
        "general.file_type",
        "general.quantization_version",
        "general.base_model.count",
        "general.base_model.0.name",
    }
    assert found["general.name"] == f"base {find_run(str(run)).manifest.base_fingerprint} run@1.5"
    assert found["general.description"].startswith("Unlearned does not mean safe")
    assert found["tokenizer.ggml.tokens"][7] == "[7]"


def test_the_base_is_exported_too(base_gguf: Path, pico_folder: Path, tmp_path: Path) -> None:
    out = export_variant("base", tmp_path / "out", "gguf", str(pico_folder), number_format="f32", base_gguf=base_gguf)
    assert [path.name for path in out.iterdir()] == ["model-f32.gguf"], "no card that speaks of unlearning"
    assert read_metadata(out / "model-f32.gguf")["general.description"] == "The base, unchanged."
    assert largest_difference(read_tensors(out / "model-f32.gguf"), read_tensors(base_gguf)) == 0


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_a_rounded_file_of_the_base_is_only_asked_for_its_metadata(
    run: Path, base_gguf: Path, pico_folder: Path, tmp_path: Path, kind: str
) -> None:
    rounded = write_pico_gguf(load(pico_folder), tmp_path / "rounded.gguf", GGMLQuantizationType[kind])
    one = read_tensors(merged_file(f"{run}@1", rounded, tmp_path / "one"))
    assert largest_difference(one, read_tensors(merged_file(f"{run}@1", base_gguf, tmp_path / "other"))) == 0


# The adapter


def product(file: Path, name: str) -> Any:
    tensors, metadata = read_tensors(file), read_metadata(file)
    factor = tensors[f"{name}.lora_b"]
    return factor @ tensors[f"{name}.lora_a"] * metadata["adapter.lora.alpha"] / factor.shape[1]


def test_the_adapter_is_the_signed_coefficient_times_the_vector(run: Path, tmp_path: Path) -> None:
    file = export_variant(f"{run}@2.5", tmp_path / "out", "gguf-adapter") / "adapter.gguf"
    factors = load_file(run / "adapter" / "adapter_model.safetensors")
    alpha = json.loads((run / "adapter" / "adapter_config.json").read_text())["lora_alpha"]
    metadata = read_metadata(file)
    assert (metadata["general.type"], metadata["adapter.type"]) == ("adapter", "lora")
    assert metadata["general.architecture"] == "llama"
    assert "A scale s multiplies its coefficient by s" in metadata["general.description"]
    places = [("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v")]
    for module, short in [*places, ("mlp.down_proj", "ffn_down")]:
        key = f"base_model.model.model.layers.1.{module}"
        vector = factors[f"{key}.lora_B.weight"] @ factors[f"{key}.lora_A.weight"] * alpha / 4
        wanted = pico_gguf.llama_cpp_rows(f"blk.1.{short}.weight", -2.5 * vector, "llama")
        assert np.abs(wanted).max() > 1e-3
        np.testing.assert_allclose(product(file, f"blk.1.{short}.weight"), wanted, atol=1e-6)
    assert len(read_tensors(file)) == 2 * 2 * 4, "two factors, two layers, four matrices"


def test_base_plus_adapter_is_the_merged_file_for_a_sum_too(
    run: Path, base_gguf: Path, pico_folder: Path, pairs_file: Path, tmp_path: Path
) -> None:
    other = train(pico_folder, pairs_file, tmp_path / "other", method="ft", rank=2, alpha=8, seed=1, targets=["q_proj"])
    text = f"{run}@0.5+{other}@2"
    file = export_variant(text, tmp_path / "adapter", "gguf-adapter") / "adapter.gguf"
    merged, base = read_tensors(merged_file(text, base_gguf, tmp_path / "merged")), read_tensors(base_gguf)
    touched = {name.removesuffix(".lora_a") for name in read_tensors(file) if name.endswith(".lora_a")}
    for name in touched:
        np.testing.assert_allclose(base[name] + product(file, name), merged[name], atol=1e-5)
    assert {name for name in base if (base[name] != merged[name]).any()} == touched


# Refusals


def refused(match: str, *args: Any, error: type[Exception] = ValueError, **keywords: Any) -> None:
    """The export fails in one line and leaves neither the folder nor a part of it."""
    out: Path = args[1]
    with pytest.raises(error, match=match) as caught:
        export_variant(*args, **keywords)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert not list(out.parent.glob(".*making*"))


def test_the_base_has_no_adapter_and_other_bases_need_their_file(run: Path, tmp_path: Path) -> None:
    refused("base has no adapter", "base", tmp_path / "out", "gguf-adapter")
    refused(r"--base-gguf, or use --as model .*convert_hf_to_gguf\.py", str(run), tmp_path / "out", "gguf")


def test_an_architecture_that_is_not_supported(pairs_file: Path, tmp_path: Path) -> None:
    opt = conftest.save_base(tmp_path / "opt", "opt")
    run = train(opt, pairs_file, tmp_path / "run", targets=["q_proj"])
    for form in ("gguf", "gguf-adapter"):
        refused("architecture opt, and GGUF export supports llama", str(run), tmp_path / "out", form)


def test_a_file_of_something_else_is_not_taken_for_the_base(
    run: Path, base_gguf: Path, pico_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "text.gguf").write_text("no GGUF file at all")
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "part.gguf").write_bytes(base_gguf.read_bytes()[:9000])
    qwen = write_pico_gguf(conftest.build_network("qwen2"), tmp_path / "qwen.gguf")
    other = write_pico_gguf(conftest.build_network(seed=9), tmp_path / "other.gguf", GGMLQuantizationType.Q4_0)
    lacking = write_pico_gguf(load(pico_folder), tmp_path / "lacking.gguf", leave_out="blk.1.attn_v.weight")
    for name in ("text.gguf", "empty.gguf", "part.gguf"):
        refused("is not a readable GGUF file", str(run), out, "gguf", base_gguf=tmp_path / name)
    refused("there is no file", str(run), out, "gguf", base_gguf=tmp_path / "none", error=FileNotFoundError)
    refused("has the architecture qwen2, the base has llama", str(run), out, "gguf", base_gguf=qwen)
    refused("has other weights at", str(run), out, "gguf", base_gguf=other)
    refused("lacks 1 tensors of the base, such as blk.1.attn_v", str(run), out, "gguf", base_gguf=lacking)
    config = conftest.ARCHITECTURES["llama"]()
    config.vocab_size = 292
    larger = write_pico_gguf(AutoModelForCausalLM.from_config(config), tmp_path / "larger.gguf")
    refused(r"has \[292, 32\] at token_embd.weight, the base has \[260, 32\]", str(run), out, "gguf", base_gguf=larger)
    headless = write_pico_gguf(load(pico_folder), tmp_path / "headless.gguf", leave_out="output.weight")
    refused("such as output.weight", str(run), out, "gguf", base_gguf=headless)


def test_a_file_whose_header_promises_more_than_it_has_is_refused_at_once(
    run: Path, base_gguf: Path, tmp_path: Path
) -> None:
    """`gguf` itself would follow 2^60 values until the memory is full."""
    whole = bytearray(base_gguf.read_bytes())
    whole[16:24] = (1 << 60).to_bytes(8, "little")
    (tmp_path / "endless.gguf").write_bytes(whole)
    began = time.perf_counter()
    refused("its header names more data than", str(run), tmp_path / "out", "gguf", base_gguf=tmp_path / "endless.gguf")
    assert time.perf_counter() - began < 20


def test_a_number_format_that_the_library_cannot_read_is_one_sentence(
    run: Path, base_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> Any:
        raise NotImplementedError("IQ9_Z")

    monkeypatch.setattr("sku.training.gguf_export.dequantize", cannot)
    refused(
        r"in a number format that cannot be read \(IQ9_Z\)", str(run), tmp_path / "out", "gguf", base_gguf=base_gguf
    )


def test_a_base_whose_head_is_its_embedding_has_no_head_in_its_file(tmp_path: Path) -> None:
    config = conftest.ARCHITECTURES["llama"]()
    config.tie_word_embeddings = True
    tied = tmp_path / "tied"
    AutoModelForCausalLM.from_config(config).save_pretrained(tied)
    source = write_pico_gguf(load(tied), tmp_path / "tied.gguf")
    out = export_variant("base", tmp_path / "out", "gguf", str(tied), base_gguf=source)
    assert read_types(out / "model-f16.gguf").keys() == read_types(source).keys()
    assert "output.weight" not in read_types(source)


def test_a_file_with_another_row_order_is_refused(run: Path, pico_folder: Path, tmp_path: Path) -> None:
    """As a converter writes it that does not reorder; the vector would land in wrong rows."""
    network = load(pico_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pico_gguf, "llama_cpp_rows", lambda _name, values, _architecture: values)
        plain = write_pico_gguf(network, tmp_path / "plain.gguf", GGMLQuantizationType.Q4_0)
    refused("has other weights at blk.0.attn_q", str(run), tmp_path / "out", "gguf", base_gguf=plain)


def test_another_base_is_refused_for_both_forms(run: Path, base_gguf: Path, tmp_path: Path) -> None:
    other = str(conftest.save_base(tmp_path / "other", seed=9))
    refused("fingerprint", str(run), tmp_path / "out", "gguf", other, base_gguf=base_gguf)
    refused("fingerprint", str(run), tmp_path / "out", "gguf-adapter", other)


@pytest.mark.parametrize("setting", [{"use_rslora": True}, {"rank_pattern": {"q_proj": 4}}])
def test_an_adapter_whose_layers_differ_in_scale(run: Path, tmp_path: Path, setting: dict[str, Any]) -> None:
    path = run / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    refused("which a GGUF adapter cannot hold; use --as gguf", str(run), tmp_path / "out", "gguf-adapter")


@pytest.mark.parametrize("form", ["adapter", "model", "gguf", "gguf-adapter"])
def test_a_failure_in_the_middle_leaves_an_empty_folder_empty(
    run: Path, base_gguf: Path, tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise OSError("no space left")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(export, "_card", full)
    file = base_gguf if form == "gguf" else None
    with pytest.raises(OSError, match="no space left"):
        export_variant(str(run), tmp_path / "out", form, base_gguf=file)
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.glob(".out*"))
    monkeypatch.undo()
    assert any(export_variant(str(run), tmp_path / "out", form, base_gguf=file).iterdir())


def test_a_file_is_not_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        export_variant(str(run), tmp_path / "out", "gguf-adapter")
    assert (tmp_path / "out").read_text() == "mine"


def test_advice_is_given_where_something_was_merged() -> None:
    assert merge_advice("sku@1", "adapter") is None
    assert merge_advice("sku@1", "gguf-adapter", "q4_1") is None
    assert merge_advice("base", "gguf") is None
    assert merge_advice("sku@1", "model") == merge_advice("sku@1", "gguf", "q8_0") == export.MERGE_ADVICE
    assert merge_advice("sku@1", "gguf", "q4_1") == export.ROUNDED_ADVICE


def test_the_card_of_a_merged_file_warns_and_that_of_an_adapter_explains_the_scale(
    run: Path, base_gguf: Path, tmp_path: Path
) -> None:
    merged = (merged_file(f"{run}@1", base_gguf, tmp_path / "merged").parent / "README.md").read_text()
    adapter = (export_variant(f"{run}@1", tmp_path / "adapter", "gguf-adapter") / "README.md").read_text()
    assert (export.MERGE_ADVICE in merged, export.MERGE_ADVICE in adapter) == (True, False)
    assert (export.SCALE_NOTE in merged, export.SCALE_NOTE in adapter) == (False, True)


# llama.cpp itself


def save_architecture(architecture: str, folder: Path) -> Path:
    """A pico base. Those of Qwen have random biases, so that a bias in a wrong place shows."""
    if architecture == "qwen3":
        small = conftest.ARCHITECTURES["qwen2"]().to_dict()
        kept = {name: small[name] for name in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(Qwen3Config(**kept, **heads, eos_token_id=256))
    else:
        network = conftest.build_network(architecture)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.3)
            elif "embed" not in name and architecture == "qwen3":
                weight.mul_(4.0)
    network.save_pretrained(folder)
    conftest.byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_llama_cpp_says_what_the_row_says(architecture: str, pairs_file: Path, tmp_path: Path) -> None:
    base = save_architecture(architecture, tmp_path / "base")
    source = write_pico_gguf(load(base), tmp_path / "base.gguf")
    run = train(base, pairs_file, tmp_path / "run")
    file = merged_file(f"{run}@1.5", source, tmp_path / "merged")
    adapter = export_variant(f"{run}@3", tmp_path / "adapter", "gguf-adapter") / "adapter.gguf"
    texts = {
        text: pico_gguf.greedy_text(load(export_variant(f"{run}@{text}", tmp_path / text, "model")), PROMPT, 12)
        for text in ("0", "1.5", "3")
    }
    assert len(set(texts.values())) == 3, "the three coefficients must differ, or the test shows nothing"
    assert pico_gguf.continued(file, PROMPT, 12) == texts["1.5"]
    assert pico_gguf.continued(source, PROMPT, 12, adapter) == texts["3"]
    assert pico_gguf.continued(source, PROMPT, 12, adapter, scale=0.5) == texts["1.5"]
    assert pico_gguf.continued(source, PROMPT, 12, adapter, scale=0.0) == texts["0"]


def test_metadata_name_a_base_without_a_hub_id_by_its_hash(run: Path, tmp_path: Path) -> None:
    file = export_variant(str(run), tmp_path / "out", "gguf-adapter") / "adapter.gguf"
    assert read_metadata(file)["general.base_model.0.name"] == f"base {find_run(str(run)).manifest.base_fingerprint}"
    assert str(tmp_path).encode() not in file.read_bytes()
