"""Round weights to few bits and back (fake quantisation), as weight-only formats store them. Pure tensor functions.

Arithmetic stays in fp32, which is what weight-only quantisation computes with. Groups run along the inputs of a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

RoundWeight = Callable[[Tensor], Tensor]
"""From a weight `[outputs, inputs]` to one of the same shape whose values are on a grid."""
GROUP_OF_GGUF = 32
"""Values that share a scale in llama.cpp's Q4_1 and Q8_0."""


class RoundedGroups(NamedTuple):
    """A weight as codes times a step, plus the lowest value, in groups along its inputs."""

    codes: Tensor
    """`[outputs, groups, group]`, whole numbers."""
    step: Tensor
    """`[outputs, groups]`, as is `low`."""
    low: Tensor

    def values(self) -> Tensor:
        """The rounded weight, `[outputs, inputs]` in fp32."""
        return (self.codes * self.step[..., None] + self.low[..., None]).flatten(-2)


def int4_asymmetric_codes(weight: Tensor, group: int = GROUP_OF_GGUF) -> RoundedGroups:
    """`int4_asymmetric` as codes from 0 to 15.

    Raises:
        ValueError: if the number of inputs is not a multiple of `group`.
    """
    groups = _groups(weight, group)
    low = groups.amin(-1)
    step = ((groups.amax(-1) - low) / 15).half().float()
    low = low.half().float()
    codes = ((groups - low[..., None]) / step.where(step > 0, 1)[..., None]).round().clamp(0, 15)
    return RoundedGroups(codes, step, low)


def int8_symmetric_codes(weight: Tensor, group: int = GROUP_OF_GGUF) -> RoundedGroups:
    """`int8_symmetric` as codes from -127 to 127.

    Raises:
        ValueError: if the number of inputs is not a multiple of `group`.
    """
    groups = _groups(weight, group)
    step = (groups.abs().amax(-1) / 127).half().float()
    codes = (groups / step.where(step > 0, 1)[..., None]).round().clamp(-127, 127)
    return RoundedGroups(codes, step, torch.zeros_like(step))


def int4_asymmetric(weight: Tensor, group: int = GROUP_OF_GGUF) -> Tensor:
    """llama.cpp's Q4_1: 16 values from the smallest to the largest of each group; scale and minimum in fp16.

    A weight that came from a Q4_1 file stays as it is, bit for bit.

    Raises:
        ValueError: if the number of inputs is not a multiple of `group`.
    """
    return int4_asymmetric_codes(weight, group).values().to(weight.dtype)


def int4_symmetric(weight: Tensor, group: int = 64) -> Tensor:
    """Codes from -7 to 7 with one scale per group.

    Raises:
        ValueError: if the number of inputs is not a multiple of `group`.
    """
    return _symmetric(_groups(weight, group), 7).reshape(weight.shape).to(weight.dtype)


def int8_symmetric(weight: Tensor, group: int = GROUP_OF_GGUF) -> Tensor:
    """llama.cpp's Q8_0: codes from -127 to 127 with one fp16 scale per group.

    Raises:
        ValueError: if the number of inputs is not a multiple of `group`.
    """
    return _symmetric(_groups(weight, group), 127).reshape(weight.shape).to(weight.dtype)


def int8_by_output(weight: Tensor) -> Tensor:
    """The weights of LLM.int8 (bitsandbytes, arXiv:2208.07339): codes from -127 to 127 with one scale per output."""
    return _symmetric(weight.float(), 127).to(weight.dtype)


def _symmetric(groups: Tensor, largest: int) -> Tensor:
    scale = (groups.abs().amax(-1, keepdim=True) / largest).half().float()
    return (groups / scale.where(scale > 0, 1)).round().clamp(-largest, largest) * scale


def _groups(weight: Tensor, group: int) -> Tensor:
    """`[outputs, inputs / group, group]` in fp32."""
    if weight.shape[-1] % group:
        raise ValueError(
            f"a weight with {weight.shape[-1]} inputs cannot be rounded in groups of {group}; "
            "choose a kind of rounding without groups, such as int8-by-output"
        )
    return weight.float().reshape(*weight.shape[:-1], -1, group)
