"""Matrix products for few rows: what `nn.Linear` gives, and only where it is quicker."""

import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import linear

from sku.models import decode_linear
from sku.models.decode_linear import (
    MATMUL_KERNELS,
    DecodeLinear,
    MatmulKernel,
    matmul_in_blocks,
    matmul_transposed,
    use_decode_linear,
)
from tests.conftest import build_network

SOME_OUTPUTS = 64, 40  # whole blocks, and not
LARGE = 5_000, 576  # outputs and inputs; six such layers are not small


def layer(bias: bool, outputs: int = 40) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(24, outputs, bias=bias)


def quick(plain: nn.Linear, few: MatmulKernel, some: MatmulKernel) -> nn.Linear:
    plain.__class__ = DecodeLinear
    plain.ways = {3: few, 14: some}  # type: ignore[assignment]
    return plain


@given(
    rows=st.integers(1, 16),
    steps=st.integers(1, 3),
    bias=st.booleans(),
    outputs=st.sampled_from(SOME_OUTPUTS),
    way=st.sampled_from(MATMUL_KERNELS),
)
def test_the_products_are_those_of_a_linear_layer(
    rows: int, steps: int, bias: bool, outputs: int, way: MatmulKernel
) -> None:
    x = torch.randn(rows, steps, 24)
    with torch.no_grad():
        found = quick(layer(bias, outputs), way, way)(x)
        torch.testing.assert_close(found, layer(bias, outputs)(x))
    assert found.is_contiguous()


@pytest.mark.parametrize(("rows", "taken"), [(1, "few"), (3, "few"), (4, "some"), (14, "some"), (15, "plain")])
def test_the_way_goes_by_the_rows(rows: int, taken: str) -> None:
    used: list[str] = []

    def noting(name: str) -> MatmulKernel:
        def way(x: Tensor, weight: Tensor) -> Tensor:
            used.append(name)
            return linear(x, weight)

        return way

    with torch.no_grad():
        quick(layer(True), noting("few"), noting("some"))(torch.randn(rows, 1, 24))
    assert used == ([] if taken == "plain" else [taken])


def test_a_training_uses_the_plain_layer() -> None:
    def never(*_: Tensor) -> Tensor:
        raise AssertionError("a product for decoding in a training")

    x = torch.randn(3, 24)
    assert torch.equal(quick(layer(True), never, never)(x), layer(True)(x))


def large() -> nn.Sequential:
    torch.manual_seed(0)
    outputs, inputs = LARGE
    return nn.Sequential(*(nn.Linear(inputs, outputs, bias=False) for _ in range(6)))


@pytest.mark.parametrize("ways", [(linear, linear), (linear, matmul_in_blocks), (matmul_transposed, linear)])
def test_layers_are_changed_only_where_it_pays(
    ways: tuple[MatmulKernel, MatmulKernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict(zip((3, 11), ways, strict=True))
    monkeypatch.setattr(decode_linear, "_quickest", lambda _, rows: found[rows])
    network, plain = large(), large()
    use_decode_linear(network)
    pays = set(ways) != {linear}
    assert [type(one) for one in network] == [DecodeLinear if pays else nn.Linear] * len(network)
    assert network.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(5, LARGE[1])
    with torch.no_grad():
        torch.testing.assert_close(network[0](x), plain[0](x))


def test_a_small_network_and_half_precision_stay_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_linear, "_quickest", lambda *_: matmul_in_blocks)
    for network in (build_network(), large().half()):
        use_decode_linear(network)
        assert not any(isinstance(module, DecodeLinear) for module in network.modules())


@pytest.mark.parametrize("best", MATMUL_KERNELS)
def test_what_took_least_is_taken(best: MatmulKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def costing(way: MatmulKernel) -> Callable[[Tensor, Tensor], Tensor]:
        def run(x: Tensor, weight: Tensor) -> Tensor:
            nonlocal clock
            clock += 1.0 if way is best else 2.0
            return way(x, weight)

        return run

    costly = tuple(costing(way) for way in MATMUL_KERNELS)
    monkeypatch.setattr(decode_linear, "MATMUL_KERNELS", costly)
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    assert decode_linear._quickest([torch.ones(64, 8)] * 5, 3) is costly[MATMUL_KERNELS.index(best)]


def test_of_a_large_network_only_the_last_weights_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def way(x: Tensor, weight: Tensor) -> Tensor:
        met.append(len(weight))
        return linear(x, weight)

    monkeypatch.setattr(decode_linear, "MATMUL_KERNELS", (way,))
    monkeypatch.setattr(decode_linear, "_ENOUGH", 4 * 8 * (30 + 20))
    assert decode_linear._quickest([torch.ones(n, 8) for n in (10, 20, 30)], 3) is way
    assert set(met) == {20, 30}
