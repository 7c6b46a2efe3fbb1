"""Matrix products for the few rows of a decoding step on a CPU.

PyTorch's fp32 linear layer repacks the whole weight for every product with 2 to about 10 rows on some CPUs, which costs
several times the product itself; written as W xᵀ the same product reads the weight once. On others it is the other way
round, so both are tried. Measured on 2 cores for 3 rows, as PyTorch does it and as W xᵀ: AMD EPYC, a whole step of the
default model, 60 and 17 ms; Intel Xeon (AVX-512), one product with 1536 x 576 weights, 0.03 and 0.11 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

_MOST_ROWS = 8
_TRIED = (3, 1536, 576)
"""Rows, outputs and inputs of the product that is tried: three columns in the widest layer of the default model."""
_TRIES = 20


class SmallBatchLinear(nn.Linear):
    """A linear layer that is quick for few rows; equal to `nn.Linear` but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., outputs]`."""
        rows = x.numel() // x.shape[-1]
        if rows > _MOST_ROWS or not x.is_cpu or torch.is_grad_enabled():  # it may have moved to a GPU since
            return super().forward(x)
        flat = x.reshape(rows, -1)
        if rows == 1:
            flat = flat.repeat(2, 1)  # a single row takes a slower way through the weight than two
        product = _transposed(flat, self.weight)[:rows]
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(*x.shape[:-1], -1).contiguous()


def quicken(network: nn.Module) -> None:
    """Change the plain fp32 linear layers of `network` in place, where that is quicker; weights and names stay."""
    for module in network.modules():
        if type(module) is nn.Linear and module.weight.dtype == torch.float32 and module.weight.device.type == "cpu":
            if not pays():
                return
            module.__class__ = SmallBatchLinear


@cache
@torch.no_grad()
def pays() -> bool:
    """Whether W xᵀ is quicker than PyTorch's linear layer on this machine; tried once, in a few milliseconds."""
    rows, outputs, inputs = _TRIED
    x, weight = torch.ones(rows, inputs), torch.ones(outputs, inputs)
    plain, transposed = [], []
    for _ in range(_TRIES):  # in turn, and the least of each: a machine that is busy slows both
        plain.append(_seconds(lambda: linear(x, weight)))
        transposed.append(_seconds(lambda: _transposed(x, weight)))
    return min(transposed) < min(plain)


def _transposed(x: Tensor, weight: Tensor) -> Tensor:
    return (weight @ x.T).T


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
