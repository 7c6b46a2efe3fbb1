"""Would one product for q, k and v, and one for gate and up, pay? Reading the weights is the same; fewer calls remain.

For each number of rows, both forms go through all blocks of the default model in turn, each with the product that is
fastest for its shapes, as in decoding. Printed are medians of the whole pass in ms, separate and fused.

Run, alone on the machine: `OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=3000 python -m tests.bench.fused`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from sku.models.decode_linear import MATMUL_KERNELS, fastest_matmul
from sku.models.pretrained import DEFAULT_BASE, provision_base
from sku.models.variant_model import load_variant_model

READ_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of a block that read the same tensor."""
ROWS, TURNS = (1, 3, 11, 48), 15


def weights_read_together() -> list[list[Tensor]]:
    """For each block of the default model, the weights of the layers that read the same tensor."""
    layers = dict(load_variant_model(str(provision_base(DEFAULT_BASE))).network.named_modules())
    firsts = [name for name in layers if name.endswith(READ_TOGETHER[0][0])]
    blocks = [name.removesuffix(f"self_attn.{READ_TOGETHER[0][0]}") for name in firsts]
    parents = ("self_attn", "mlp")
    return [
        [layers[f"{block}{parent}.{name}"].weight for name in names]
        for block in blocks
        for parent, names in zip(parents, READ_TOGETHER, strict=True)
    ]


@torch.no_grad()
def seconds_of_both(groups: Sequence[Sequence[Tensor]], rows: int, turns: int) -> tuple[float, float]:
    """Median seconds of a pass through all groups: one product a weight, and one a group."""
    fused = [torch.cat(list(group)) for group in groups]
    apart = [weight for group in groups for weight in group]
    passes: list[Callable[[], None]] = [_pass(apart, rows), _pass(fused, rows)]
    for one in passes:
        one()
    times: list[list[float]] = [[], []]
    for turn in range(turns):
        for place in (0, 1) if turn % 2 else (1, 0):
            began = time.perf_counter()
            passes[place]()
            times[place].append(time.perf_counter() - began)
    return median(times[0]), median(times[1])


def _pass(weights: Sequence[Tensor], rows: int) -> Callable[[], None]:
    product = MATMUL_KERNELS[fastest_matmul(weights, rows)]
    inputs = {width: torch.randn(rows, width) for width in {weight.shape[1] for weight in weights}}

    def run() -> None:
        for weight in weights:
            product(inputs[weight.shape[1]], weight)

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=TURNS)
    turns = parser.parse_args().turns
    groups = weights_read_together()
    print(f"threads {torch.get_num_threads()}; ms for all blocks: separate, fused, fused over separate")
    for rows in ROWS:
        apart, fused = seconds_of_both(groups, rows, turns)
        print(f"{rows:2d} rows: {apart * 1000:.1f}  {fused * 1000:.1f}  {fused / apart:.2f}")


if __name__ == "__main__":
    main()
