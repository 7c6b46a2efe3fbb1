"""Norms of a task vector are those of the whole product."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sku.training import vector_norms


def test_the_norm_of_a_vector_is_that_of_the_whole_product(adapters: dict[str, Path]) -> None:
    found = vector_norms.layer_norms(adapters["two"])
    assert set(found) == {"k_proj", "v_proj", "o_proj"}
    tensors = load_file(adapters["two"] / "adapter_model.safetensors")
    for module, layers in found.items():
        for layer, norm in enumerate(layers):
            place = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            a, b = tensors[f"{place}.lora_A.weight"], tensors[f"{place}.lora_B.weight"]
            assert norm == pytest.approx(2 * float(torch.linalg.norm(b @ a)), rel=1e-5)  # alpha is twice the rank
