"""Matrix products for few rows: what `nn.Linear` gives, and only where it is quicker."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sku import small_batches
from sku.small_batches import SmallBatchLinear, quicken
from tests.conftest import build_network


def layer(bias: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(24, 40, bias=bias)


@given(rows=st.integers(1, 12), steps=st.integers(1, 3), bias=st.booleans())
def test_the_products_are_those_of_a_linear_layer(rows: int, steps: int, bias: bool) -> None:
    plain, quick = layer(bias), layer(bias)
    quick.__class__ = SmallBatchLinear
    x = torch.randn(rows, steps, 24)
    with torch.no_grad():
        found = quick(x)
        torch.testing.assert_close(found, plain(x))
    assert found.is_contiguous()


def test_a_training_uses_the_plain_layer() -> None:
    quick = layer(True)
    quick.__class__ = SmallBatchLinear
    x = torch.randn(3, 24)
    assert torch.equal(quick(x), layer(True)(x))


@pytest.mark.parametrize("pays", [True, False])
def test_layers_are_changed_only_where_it_pays(pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_batches, "pays", lambda: pays)
    network, plain = build_network(), build_network()
    quicken(network)
    quick = [module for module in network.modules() if isinstance(module, SmallBatchLinear)]
    linear = [module for module in plain.modules() if isinstance(module, nn.Linear)]
    assert len(quick) == (len(linear) if pays else 0)
    assert network.state_dict().keys() == plain.state_dict().keys()
    ids = torch.arange(6)[None]
    with torch.no_grad():
        torch.testing.assert_close(network(ids).logits, plain(ids).logits)


def test_half_precision_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_batches, "pays", lambda: True)
    network = build_network().half()
    quicken(network)
    assert not any(isinstance(module, SmallBatchLinear) for module in network.modules())


def test_it_is_tried_once() -> None:
    assert small_batches.pays() is small_batches.pays()
    assert small_batches.pays.cache_info().misses == 1
