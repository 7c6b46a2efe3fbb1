"""In which arithmetic decoding steps are computed: fp32, or one of two forms with 4-bit weights.

- `exact`: weights are read in 4 bits and multiplied in fp32; logits are those of the fp32 base up to rounding.
- `quick`: besides, inputs are rounded to 8 bits in groups of 32, as llama.cpp does, but for the sixth of the weights at
  which that would cost most KL.

Both need onnxruntime and a base whose weights lie on a 4-bit grid, as the default base's do; else fp32 stays. LoRA rows
are computed in fp32 on top. Only decoding steps change: reading prompts, likelihoods, KL, trainings, attacks on weights
and exports are in fp32. `SKU_ARITHMETIC` overrides the default. No torch.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Literal, get_args

from sku.core.environment import named_in_environment

ARITHMETIC_VARIABLE = "SKU_ARITHMETIC"
Arithmetic = Literal["fp32", "exact", "quick"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)
COMMAND_DEFAULT: Arithmetic = "fp32"
PAGE_DEFAULT: Arithmetic = "fp32"
"""On the default base and two cores `exact` writes the same texts as fp32, one column in 0.8 of its time, but three no
quicker, and in 1.4 of it beside a training. `quick` takes 0.6, but only 88 % of the verdicts stay; 99 % were
wanted (`assets/docs/serving.md`)."""


@dataclass(frozen=True)
class ArithmeticStatus:
    """What can be said without loading weights."""

    forced: Arithmetic | None
    """What `SKU_ARITHMETIC` says."""
    page: Arithmetic
    commands: Arithmetic
    onnxruntime: str | None
    """Its version; None: it is not installed, and everything is computed in fp32."""


def chosen_arithmetic(default: Arithmetic) -> Arithmetic:
    """What `SKU_ARITHMETIC` says, else `default`; fp32 if onnxruntime is not installed and nobody insists.

    Raises:
        ValueError: if `SKU_ARITHMETIC` names no arithmetic, or one that needs onnxruntime, which is not installed.
    """
    forced, library = forced_arithmetic(), onnxruntime_version()
    if forced not in (None, "fp32") and library is None:
        raise ValueError(f"{ARITHMETIC_VARIABLE} is {forced}, which needs onnxruntime; pip install onnxruntime")
    return forced or (default if library else "fp32")


def forced_arithmetic() -> Arithmetic | None:
    """What `SKU_ARITHMETIC` says; None if it is not set.

    Raises:
        ValueError: if it names no arithmetic.
    """
    return named_in_environment(ARITHMETIC_VARIABLE, ARITHMETICS)


def onnxruntime_version() -> str | None:
    """The installed version, found without importing it."""
    try:
        return importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        return None


def arithmetic_status() -> ArithmeticStatus:
    """What a page and what commands use on this machine, for a base on a 4-bit grid.

    Raises:
        ValueError: as `chosen_arithmetic` does.
    """
    page, commands = chosen_arithmetic(PAGE_DEFAULT), chosen_arithmetic(COMMAND_DEFAULT)
    return ArithmeticStatus(forced_arithmetic(), page, commands, onnxruntime_version())
