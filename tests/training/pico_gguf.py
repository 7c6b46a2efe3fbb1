"""A GGUF file of a pico base, written without the package's own names and row order, and greedy text in llama.cpp."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize

HEADS, KEY_HEADS = 4, 2
PLACES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
ENDS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def llama_cpp_rows(name: str, values: Any, architecture: str) -> Any:
    """The rows of one head in llama.cpp's order, one by one: 0, d/2, 1, d/2 + 1, ..."""
    heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(name.split(".")[-2])
    if architecture != "llama" or heads is None:
        return values
    size = len(values) // heads
    order = [head * size + half * size // 2 + i for head in range(heads) for i in range(size // 2) for half in (0, 1)]
    return values[order]


def expected_tensors(network: Any) -> dict[str, Any]:
    """All weights of a network as llama.cpp has them."""
    found = {}
    for name, weight in network.state_dict().items():
        if match := re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            new = f"blk.{match[1]}.{PLACES[match[2]]}.{match[3]}"
        else:
            new = ENDS[name]
        found[new] = llama_cpp_rows(new, weight.numpy(), network.config.model_type)
    return found


def write_pico_gguf(
    network: Any, file: Path, kind: GGMLQuantizationType = GGMLQuantizationType.F32, leave_out: str = ""
) -> Path:
    """A GGUF file of `network`. Token 7 is the text `[7]`, so that a text says which tokens it has."""
    config = network.config
    name = config.model_type
    writer = GGUFWriter(file, name)
    writer.add_custom_alignment(64)  # not the default
    writer.add_name("pico")
    writer.add_file_type(0)
    writer.add_context_length(512)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(config.head_dim if name == "qwen3" else config.hidden_size // HEADS)
    writer.add_value_length(config.head_dim if name == "qwen3" else config.hidden_size // HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([f"[{i}]" for i in range(config.vocab_size)])
    writer.add_token_types([TokenType.NORMAL] * config.vocab_size)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    writer.add_add_bos_token(False)
    for tensor, values in expected_tensors(network).items():
        if tensor == leave_out or (tensor == "output.weight" and config.tie_word_embeddings):
            continue
        used = GGMLQuantizationType.F32 if values.ndim == 1 else kind
        writer.add_tensor(tensor, quantize(np.ascontiguousarray(values), used), raw_dtype=used)
    if name == "llama":
        writer.add_tensor("rope_freqs.weight", np.ones(4, dtype=np.float32))  # factors of 1 change nothing
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def read_tensors(file: Path) -> dict[str, Any]:
    """The values of all tensors of a GGUF file."""
    tensors = GGUFReader(file).tensors
    return {t.name: dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist()))) for t in tensors}


def read_types(file: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(file).tensors}


def read_metadata(file: Path) -> dict[str, Any]:
    return {field.name: field.contents() for field in GGUFReader(file).fields.values()}


def continued(model: Path, prompt: list[int], tokens: int, adapter: Path | None = None, scale: float = 1.0) -> str:
    """The greedy text of llama.cpp after a prompt of token ids."""
    llama = pytest.importorskip("xllamacpp")
    settings = llama.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx = 512
    settings.n_parallel = 1
    settings.warmup = False
    settings.verbosity = 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # two that wait for each other are slow here
    if adapter:
        settings.lora_adapters = [llama.CommonAdapterLoraInfo(str(adapter), scale)]
    server = llama.Server(settings)
    asked = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "cache_prompt": False}
    return str(server.handle_completions(asked)["choices"][0]["text"])


@torch.no_grad()
def greedy_text(network: Any, prompt: list[int], tokens: int) -> str:
    """The same, of a transformers model and in the words of `write_pico_gguf`."""
    ids = list(prompt)
    for _ in range(tokens):
        ids.append(int(network(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return "".join(f"[{i}]" for i in ids[len(prompt) :])
