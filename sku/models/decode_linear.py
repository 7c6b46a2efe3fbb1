"""Matrix products on a CPU that are faster than those of `nn.Linear`.

For the few rows of a decoding step PyTorch's fp32 linear layer spends more time on rearranging the weight than on the
product itself. Two other forms of the same product read the weight as it lies in memory. For many rows, as in prompts
and in answers that are judged, PyTorch calls MKL, and oneDNN takes half of MKL's time on AMD processors. Which is
fastest depends on the CPU and on the number of rows; `matmul_choice.py` keeps the choice. All products of a step of the
default model, in ms (of the first three rows: wall time of two cores; of the others: CPU time of one thread on a busy
machine, medians in turn, without the head):

    CPU                     rows  linear  transposed  blocks  onednn
    AMD EPYC                   3      60          17
    Intel Xeon (AVX-512)       3      23          45      26
                              11      51          47      37
    AMD EPYC (AVX-512)         1      25          23      29      26
                               3      57          28      45      33
                              11      59          78      66      39
                              64     164                          99
                             512    1077                         538
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from sku.core.records import digest
from sku.models.matmul_choice import (
    FastestMatmuls,
    MatmulChoice,
    MatmulKey,
    MatmulName,
    choose_matmuls,
    forced_matmul,
    processor_name,
    torch_version,
)

MatmulKernel = Callable[[Tensor, Tensor], Tensor]
"""From x `[R, inputs]` and a weight `[outputs, inputs]` to `[R, outputs]`."""

MAX_ROWS_OF_A_SMALL_BATCH, MAX_ROWS_OF_A_LARGE_BATCH = 3, 14
"""Batches of up to 3 rows use the product that was fastest at 3 rows, of up to 14 the one fastest at 11, and larger
ones the one fastest at 256."""
MEASURED_ROWS = 3, 11, 256
"""Three columns of the page, a sweep over eleven coefficients, and answers that are judged. At 64 rows the four
products are too near each other to tell them apart; with 512 rows and two threads the slowest takes 1.25 times as
long."""
MIN_WEIGHT_BYTES = 2**26
"""Smaller networks fit in the CPU's caches, where no product is slow; they keep `nn.Linear`."""
MAX_MEASURED_BYTES = 2**29
"""Of a larger network, only the last weights up to this size are measured."""
OUTPUTS_PER_BLOCK = 32


class DecodeLinear(nn.Linear):
    """A linear layer that is fast without gradients; equal to `nn.Linear` up to rounding."""

    small_batch: MatmulKernel
    large_batch: MatmulKernel
    more_rows: MatmulKernel

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs]` to `[..., outputs]`."""
        if not x.is_cpu or torch.is_grad_enabled():  # may have moved to a GPU since
            return super().forward(x)
        rows = x.numel() // x.shape[-1]
        product = self._matmul(rows)(x.reshape(rows, -1), self.weight)
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(*x.shape[:-1], -1).contiguous()

    def _matmul(self, rows: int) -> MatmulKernel:
        if rows <= MAX_ROWS_OF_A_SMALL_BATCH:
            return self.small_batch
        return self.large_batch if rows <= MAX_ROWS_OF_A_LARGE_BATCH else self.more_rows


def use_decode_linear(network: nn.Module) -> MatmulChoice | None:
    """Make the fp32 linear layers of `network` on a CPU use the chosen products; weights and names stay.

    Returns:
        The choice; None where there was nothing to choose: a small network, half precision or a GPU.

    Raises:
        ValueError: if `SKU_MATMUL` names no product.
    """
    layers = [module for module in network.modules() if type(module) is nn.Linear and _is_plain(module.weight)]
    weights = [layer.weight for layer in layers]
    if not layers or (not forced_matmul() and sum(weight.nbytes for weight in weights) < MIN_WEIGHT_BYTES):
        return None
    choice = choose_matmuls(_key(weights), lambda: FastestMatmuls(*(fastest_matmul(weights, n) for n in MEASURED_ROWS)))
    chosen = choice.matmuls.up_to_3_rows, choice.matmuls.up_to_14_rows, choice.matmuls.more_rows
    if set(chosen) != {"linear"}:
        for layer in layers:
            make_decode_linear(layer, *(MATMUL_KERNELS[name] for name in chosen))
    return choice


def make_decode_linear(layer: nn.Linear, small: MatmulKernel, large: MatmulKernel, more: MatmulKernel) -> None:
    """Make a linear layer a `DecodeLinear` with these products; its weight and its name stay."""
    layer.__class__ = DecodeLinear
    layer.small_batch, layer.large_batch, layer.more_rows = small, large, more  # type: ignore[assignment]  # mypy keeps the old class


@torch.no_grad()
def fastest_matmul(weights: Sequence[Tensor], rows: int) -> MatmulName:
    """The product that is fastest on this machine for this number of rows; takes up to two seconds.

    Each weight is used after all the others, as in decoding: timing a weight that is still in a cache means nothing.
    """
    seconds: dict[tuple[MatmulName, torch.Size], list[float]] = defaultdict(list)
    measured = _last_weights(weights, MAX_MEASURED_BYTES)
    names = list(MATMUL_KERNELS)
    for matmul in MATMUL_KERNELS.values():  # the first call sets up what later ones reuse
        matmul(torch.ones(rows, measured[0].shape[1]), measured[0])
    for turn in range(len(names)):
        for place, weight in enumerate(measured):
            name = names[(place + turn) % len(names)]
            x = torch.ones(rows, weight.shape[1])
            began = time.perf_counter()
            MATMUL_KERNELS[name](x, weight)
            seconds[name, weight.shape].append(time.perf_counter() - began)

    def total(name: MatmulName) -> float:
        return sum(median(times) * len(times) for (timed, _), times in seconds.items() if timed == name)

    return min(names, key=total)


def matmul_transposed(x: Tensor, weight: Tensor) -> Tensor:
    """W xᵀ of at least two rows, because PyTorch has a slower path for a single one."""
    rows = x if len(x) > 1 else x.repeat(2, 1)
    return (weight @ rows.T).T[: len(x)]


def matmul_in_blocks(x: Tensor, weight: Tensor) -> Tensor:
    """One product per block of outputs: a part of the weight this small needs no rearranging."""
    if len(weight) % OUTPUTS_PER_BLOCK:
        return linear(x, weight)
    blocks = weight.reshape(-1, OUTPUTS_PER_BLOCK, weight.shape[1]).transpose(1, 2)  # (blocks, inputs, outputs)
    product = torch.bmm(x.expand(len(blocks), *x.shape), blocks)  # (blocks, R, outputs)
    return product.transpose(0, 1).reshape(len(x), -1)


def matmul_onednn(x: Tensor, weight: Tensor) -> Tensor:
    """oneDNN's product; PyTorch's own in other precisions than fp32, or if PyTorch was built without oneDNN."""
    fp32 = x.dtype == weight.dtype == torch.float32
    if not fp32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch has no type there
        return linear(x, weight)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return product


MATMUL_KERNELS: dict[MatmulName, MatmulKernel] = {
    "linear": linear,
    "transposed": matmul_transposed,
    "blocks": matmul_in_blocks,
    "onednn": matmul_onednn,
}


def _key(weights: Sequence[Tensor]) -> MatmulKey:
    shapes = digest(*(str(tuple(weight.shape)) for weight in weights))
    return MatmulKey(processor_name(), torch_version(), torch.get_num_threads(), shapes, MEASURED_ROWS)


def _is_plain(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"


def _last_weights(weights: Sequence[Tensor], max_bytes: int) -> list[Tensor]:
    """The last weights that fit into `max_bytes`, at least one: the output head is the last and the largest."""
    chosen: list[Tensor] = []
    for weight in reversed(weights):
        max_bytes -= weight.nbytes
        if max_bytes < 0 and chosen:
            break
        chosen.append(weight)
    return chosen
