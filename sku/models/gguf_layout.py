"""How llama.cpp names and orders the weights of a transformers model. Knows no adapter and writes no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, TensorNameMap, get_tensor_name_map
from numpy.typing import NDArray

Array = NDArray[np.float32]

ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
}
"""Model types of transformers whose weights llama.cpp stores unchanged, apart from the order of rows."""
_PERMUTED = {MODEL_ARCH.LLAMA}
"""Architectures for which llama.cpp reorders the rows of the query and key projections."""


@dataclass(frozen=True)
class GgufLayout:
    """Names and row order of the weights of one model in a GGUF file."""

    architecture: str
    """The name in `general.architecture`."""
    names: TensorNameMap
    heads: int
    key_heads: int
    permuted: bool
    """Whether the rows of the query and key projections are reordered."""

    def name(self, parameter: str) -> str:
        """The tensor's name, such as `blk.0.attn_q.weight` for `model.layers.0.self_attn.q_proj.weight`.

        Raises:
            ValueError: if llama.cpp has no such tensor in this architecture.
        """
        found: str | None = self.names.get_name(parameter, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ValueError(
                f"llama.cpp has no tensor for {parameter} in the architecture {self.architecture}; "
                "use --as adapter or --as model"
            )
        return found

    def rows(self, name: str, weight: Array) -> Array:
        """The rows of a weight, a bias or a LoRA factor B in llama.cpp's order.

        A rotary embedding turns pairs of values. transformers pairs row i of a head with row i + d/2, llama.cpp pairs
        neighbours, so for each head of d rows, 0, 1, 2, ... becomes 0, d/2, 1, d/2 + 1, ...

        Args:
            name: the tensor's name in the GGUF file.
            weight: `[rows, ...]`.
        """
        heads = {"attn_q": self.heads, "attn_k": self.key_heads}.get(name.split(".")[-2])
        if not self.permuted or heads is None:
            return weight
        pairs = weight.reshape(heads, 2, len(weight) // heads // 2, *weight.shape[1:])
        return pairs.swapaxes(1, 2).reshape(weight.shape)


def gguf_layout(config: Any) -> GgufLayout:
    """The layout of a model with this transformers config.

    Raises:
        ValueError: if the architecture is not in `ARCHITECTURES`.
    """
    if config.model_type not in ARCHITECTURES:
        raise ValueError(
            f"the base has the architecture {config.model_type}, and GGUF export supports "
            f"{', '.join(ARCHITECTURES)}; use --as model or --as adapter, and convert the folder with llama.cpp's "
            "convert_hf_to_gguf.py or convert_lora_to_gguf.py"
        )
    architecture = ARCHITECTURES[config.model_type]
    return GgufLayout(
        MODEL_ARCH_NAMES[architecture],
        get_tensor_name_map(architecture, config.num_hidden_layers),
        config.num_attention_heads,
        config.num_key_value_heads,
        architecture in _PERMUTED,
    )
