"""Names and row order of weights in llama.cpp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from sku.models.gguf_layout import gguf_layout
from tests.conftest import ARCHITECTURES

SMALL: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 8}


def test_rows_of_two_heads_written_out() -> None:
    """Of four rows a head, llama.cpp pairs 0 with 2 and 1 with 3."""
    layout = gguf_layout(LlamaConfig(**SMALL))
    rows = np.arange(8, dtype=np.float32)
    assert layout.rows("blk.0.attn_q.bias", rows).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert layout.rows("blk.1.attn_k.weight", rows[:4, None])[:, 0].tolist() == [0, 2, 1, 3]
    assert layout.rows("blk.0.attn_v.weight", rows).tolist() == rows.tolist()
    assert layout.rows("blk.0.attn_q_norm.weight", rows).tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("config", "architecture", "moved"),
    [
        (LlamaConfig, "llama", True),
        (MistralConfig, "llama", True),
        (Qwen2Config, "qwen2", False),
        (Qwen3Config, "qwen3", False),
    ],
)
def test_only_llama_and_mistral_are_reordered(config: Any, architecture: str, moved: bool) -> None:
    layout = gguf_layout(config(**SMALL))
    assert layout.architecture == architecture
    second = layout.rows("blk.0.attn_q.weight", np.arange(8, dtype=np.float32)).tolist()[1]
    assert second == (2 if moved else 1)


def test_names() -> None:
    layout = gguf_layout(LlamaConfig(**SMALL))
    assert layout.name("model.layers.1.mlp.down_proj.weight") == "blk.1.ffn_down.weight"
    assert layout.name("lm_head.weight") == "output.weight"
    with pytest.raises(ValueError, match=r"no tensor for model\.layers\.2\.mlp\.up_proj\.weight .*use --as adapter"):
        layout.name("model.layers.2.mlp.up_proj.weight")


@pytest.mark.parametrize("architecture", ["opt", "gemma", "gemma2"])
def test_other_architectures_are_refused_with_a_way_out(architecture: str) -> None:
    with pytest.raises(ValueError, match=rf"architecture {architecture}, .*supports llama, .*convert_hf_to_gguf\.py"):
        gguf_layout(ARCHITECTURES[architecture]())
