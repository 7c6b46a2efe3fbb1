"""Losses on the gain over the base: what they are at the base, where their gradient vanishes, and what they pull."""

from __future__ import annotations

import math

import pytest
import torch

from sku.core.config import TrainConfig
from sku.training.losses.gain import ACQUIRED_GAIN, acquire, hold, lose
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import gain_over_base

CONFIG = TrainConfig(forget_margin=2.0)


def answers_with_gains(gains: list[float]) -> TermInputs:
    """One token an answer: under the base it has probability e^-5, under the model e^(gain - 5)."""
    log_probs = torch.tensor([g - 5.0 for g in gains])
    logits = torch.stack([log_probs, torch.log1p(-log_probs.exp())], dim=1).requires_grad_()
    base = torch.tensor([[-5.0, math.log1p(-math.exp(-5))]] * len(gains))
    count = len(gains)
    return TermInputs(logits, torch.zeros(count, dtype=torch.long), torch.arange(count), base)


def test_gain_is_the_difference_in_nats() -> None:
    assert gain_over_base(answers_with_gains([0.0, -1.5, 2.0])).tolist() == pytest.approx([0.0, -1.5, 2.0], abs=1e-5)


def test_losses_of_the_base_itself() -> None:
    base = answers_with_gains([0.0, 0.0])
    assert float(lose(base, CONFIG)) == pytest.approx(math.log1p(math.exp(2.0)), rel=1e-5)
    assert float(acquire(base, CONFIG)) == pytest.approx(math.log1p(math.exp(ACQUIRED_GAIN)), rel=1e-5)
    assert float(hold(base, CONFIG)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "open_gain", "done_gain"), [(lose, 0.0, -12.0), (acquire, 0.0, 4.9), (hold, -1.0, 1.0)]
)
def test_an_answer_that_has_moved_far_enough_pulls_no_more(loss, open_gain, done_gain) -> None:  # type: ignore[no-untyped-def]
    still, done = answers_with_gains([open_gain]), answers_with_gains([done_gain])
    for inputs in (still, done):
        loss(inputs, CONFIG).backward()
    assert float(still.logits.grad.abs().max()) > 0.5  # type: ignore[union-attr]
    assert float(done.logits.grad.abs().max()) < 0.03  # type: ignore[union-attr]


def test_a_safe_answer_may_gain_and_may_not_lose() -> None:
    assert float(hold(answers_with_gains([1.0, -1.0]), CONFIG)) == pytest.approx(0.5, rel=1e-5)
