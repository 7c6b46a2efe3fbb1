"""Matrix products for the few rows of a decoding step on a CPU.

For few rows PyTorch's fp32 linear layer spends more on arranging the weight than on the product itself, on some CPUs
more and on some less. Two other forms of the same product take the weight as it lies, and which is quickest depends on
the CPU and on the rows, so all are tried. Measured on 2 cores, all products of a step of the default model, in ms:

    CPU                     rows  linear  W xᵀ  blocks
    AMD EPYC                   3      60    17
    Intel Xeon (AVX-512)       3      23    45      26
                              11      51    47      37
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

MatmulKernel = Callable[[Tensor, Tensor], Tensor]
"""From x `[R, inputs]` and a weight `[outputs, inputs]` to `[R, outputs]`."""

_FEW, _SOME = 3, 14
"""Up to so many rows one trial speaks for all; beyond, the linear layer is as quick as any."""
_TRIED = {_FEW: 3, _SOME: 11}
"""Rows that are tried: three columns of the page, and a sweep over eleven coefficients."""
_SMALL, _ENOUGH = 2**26, 2**29
"""Bytes of weights: fewer stay in the CPU's caches, where no way is slow; of more, so many are tried."""
_BLOCK = 32
"""Outputs of one block."""


class DecodeLinear(nn.Linear):
    """A linear layer that is quick for few rows; equal to `nn.Linear` but for rounding."""

    ways: dict[int, MatmulKernel]
    """Up to how many rows which is taken."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., outputs]`."""
        rows = x.numel() // x.shape[-1]
        if rows > _SOME or not x.is_cpu or torch.is_grad_enabled():  # it may have moved to a GPU since
            return super().forward(x)
        product = self.ways[_FEW if rows <= _FEW else _SOME](x.reshape(rows, -1), self.weight)
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(*x.shape[:-1], -1).contiguous()


def use_decode_linear(network: nn.Module) -> None:
    """Change the plain fp32 linear layers of `network` in place, where that is quicker; weights and names stay."""
    layers = [module for module in network.modules() if type(module) is nn.Linear and _plain(module.weight)]
    if sum(layer.weight.nbytes for layer in layers) < _SMALL:
        return
    ways = {most: _quickest([layer.weight for layer in layers], rows) for most, rows in _TRIED.items()}
    if set(ways.values()) == {linear}:
        return
    for layer in layers:
        layer.__class__ = DecodeLinear
        layer.ways = ways  # type: ignore[assignment]  # mypy keeps the old class


@torch.no_grad()
def _quickest(weights: Sequence[Tensor], rows: int) -> MatmulKernel:
    """The way that is quickest on this machine for so many rows; a tenth of a second.

    Each weight is met after all the others, as in decoding: a weight that still lies in a cache tells nothing.
    """
    took: dict[tuple[MatmulKernel, torch.Size], list[float]] = defaultdict(list)
    tried = _last(weights, _ENOUGH)
    for way in MATMUL_KERNELS:  # a first call prepares what later ones find
        way(torch.ones(rows, tried[0].shape[1]), tried[0])
    for turn in range(len(MATMUL_KERNELS)):
        for place, weight in enumerate(tried):
            way = MATMUL_KERNELS[(place + turn) % len(MATMUL_KERNELS)]
            x = torch.ones(rows, weight.shape[1])
            began = time.perf_counter()
            way(x, weight)
            took[way, weight.shape].append(time.perf_counter() - began)

    def whole(way: MatmulKernel) -> float:
        return sum(median(times) * len(times) for (one, _), times in took.items() if one is way)

    return min(MATMUL_KERNELS, key=whole)


def matmul_transposed(x: Tensor, weight: Tensor) -> Tensor:
    """W xᵀ, of at least two rows: a single one takes a slower way through the weight."""
    rows = x if len(x) > 1 else x.repeat(2, 1)
    return (weight @ rows.T).T[: len(x)]


def matmul_in_blocks(x: Tensor, weight: Tensor) -> Tensor:
    """A product for every block of the outputs: so small a part of the weight needs no arranging."""
    if len(weight) % _BLOCK:
        return linear(x, weight)
    blocks = weight.reshape(-1, _BLOCK, weight.shape[1]).transpose(1, 2)  # (blocks, inputs, _BLOCK)
    product = torch.bmm(x.expand(len(blocks), *x.shape), blocks)  # (blocks, R, _BLOCK)
    return product.transpose(0, 1).reshape(len(x), -1)


MATMUL_KERNELS: tuple[MatmulKernel, ...] = (linear, matmul_transposed, matmul_in_blocks)


def _plain(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"


def _last(weights: Sequence[Tensor], size: int) -> list[Tensor]:
    """The last of them, so many bytes at most, but at least one: the output head is the last and the largest."""
    found: list[Tensor] = []
    for weight in reversed(weights):
        size -= weight.nbytes
        if size < 0 and found:
            break
        found.append(weight)
    return found
