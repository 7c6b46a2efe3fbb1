"""The precisions in which a base can be loaded. Two of them round the weights with bitsandbytes."""

from __future__ import annotations

import importlib.util
from typing import Any

from sku.core.environment import named_in_environment

BYTES_PER_PARAMETER = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8bit": 1.0, "4bit": 0.56}
"""Of the weights; the scales of 4-bit groups are included."""
VARIABLE = "SKU_PRECISION"
ROUNDED = ("8bit", "4bit")


def chosen_precision(usual: str) -> str:
    """The precision that `SKU_PRECISION` names; by default `usual`.

    Raises:
        ValueError: if it names none.
    """
    return named_in_environment(VARIABLE, BYTES_PER_PARAMETER) or usual


def keep_weights_packed(network: Any) -> None:
    """Let no forward pass on a CPU pack rounded weights anew, which would change their hash."""
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def loading_settings(precision: str) -> dict[str, Any]:
    """The arguments of `from_pretrained` for a precision.

    Raises:
        ValueError: for 8bit or 4bit without bitsandbytes.
    """
    import torch

    if precision not in ROUNDED:
        return {"dtype": getattr(torch, precision)}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(
            f"loading in {precision} needs the package bitsandbytes; install it with: pip install bitsandbytes, or set "
            f"{VARIABLE}=bfloat16"
        )
    from transformers import BitsAndBytesConfig

    eight = precision == "8bit"
    rounding = BitsAndBytesConfig(
        load_in_8bit=eight, load_in_4bit=not eight, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"dtype": torch.bfloat16, "quantization_config": rounding}
