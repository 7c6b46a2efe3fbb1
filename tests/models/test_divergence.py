"""KL from base by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sku.models.divergence import kl_from_base

TWO = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))


def test_kl_by_hand_and_its_direction() -> None:
    """KL(base || model) of base (1/2, 1/2) and model (1/4, 3/4), not the reverse."""
    base, model = TWO[:1], TWO[1:2]
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert float(kl_from_base(model, base)) == pytest.approx(expected, rel=1e-5)
    assert float(kl_from_base(base, base)) == 0


def test_kl_survives_a_vanishing_probability() -> None:
    """Defect 5: the reference guards only one of the two probabilities, and divides by an underflow."""
    base, model = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, -1e4]])
    assert math.isfinite(float(kl_from_base(model, base)))


def test_half_precision_logits_are_compared_in_full() -> None:
    draw = torch.Generator().manual_seed(3)
    base, model = torch.randn(5, 700, generator=draw), torch.randn(5, 700, generator=draw)
    full = kl_from_base(model.bfloat16().float(), base.bfloat16().float())
    assert torch.equal(kl_from_base(model.bfloat16(), base.bfloat16()), full)
