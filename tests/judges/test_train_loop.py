"""The training loop of the judge, step by step against the same arithmetic in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sku.judges.fitting.examples import EncodedExample, JudgeExample
from sku.judges.fitting.train_loop import FitConfig, learning_rate_at, train_on_batches
from sku.models.batching import EncodedPair

CONFIG = FitConfig(
    passes=1,
    rubric_passes=1,
    refusal_passes=1,
    batch_size=2,
    learning_rate=0.1,
    warm_up=0.25,
    rank=1,
    alpha=1,
    targets=(),
    refusal_weight=0.5,
)
STEEPNESS = 5.0
"""Logits are the weights times this, so that some gradients are clipped and some are not."""


def batch(harmful: float, refuses: float) -> list[EncodedExample]:
    """Two answers: one with a harm label, one with a refusal label."""
    row = EncodedPair((1, 2), 1)
    return [(row, JudgeExample("p", "a", harmful, None)), (row, JudgeExample("p", "a", None, refuses))]


def targets(steps: int) -> list[tuple[float, float]]:
    return [(0.9 if step % 3 else 0.2, float(step % 2)) for step in range(steps)]


def by_hand(steps: int) -> tuple[list[float], list[float], int]:
    """AdamW (Loshchilov and Hutter, 2019) with clipping: the two weights, the loss of each step, the steps clipped."""
    weights, first, second = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    losses, clipped = [], 0
    for step, wanted in enumerate(targets(steps), start=1):
        says = [1 / (1 + math.exp(-STEEPNESS * weight)) for weight in weights]
        entropies = [-t * math.log(p) - (1 - t) * math.log(1 - p) for t, p in zip(wanted, says, strict=True)]
        losses.append((entropies[0] + 0.5 * entropies[1]) / 2)
        gradient = [STEEPNESS * (says[0] - wanted[0]) / 2, STEEPNESS * 0.5 * (says[1] - wanted[1]) / 2]
        norm = math.hypot(*gradient)
        clipped += norm > 1
        gradient = [one * min(1.0, 1 / (norm + 1e-6)) for one in gradient]
        share = (step - 1) / steps
        rate = 0.1 * min((share + 0.001) / 0.25, 1 - share)
        for i, g in enumerate(gradient):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            direction = first[i] / (1 - 0.9**step) / (math.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
            weights[i] += -rate * 0.01 * weights[i] - rate * direction
    return weights, losses, clipped


def trained(steps: int, report: list[dict[str, Any]], saved: list[list[float]]) -> list[float]:
    weights = nn.Parameter(torch.zeros(2))

    def logits(rows: Sequence[EncodedPair]) -> Tensor:
        return (STEEPNESS * weights).expand(len(rows), 2)

    batches = [batch(*wanted) for wanted in targets(steps)]
    train_on_batches(batches, logits, [weights], CONFIG, report.append, lambda: saved.append(weights.tolist()))
    return weights.tolist()


@pytest.mark.parametrize("steps", [1, 2, 7, 25])
def test_every_step_is_the_one_done_by_hand(steps: int) -> None:
    weights, _, clipped = by_hand(steps)
    assert steps < 25 or 0 < clipped < steps, "both kinds of gradient must occur"
    assert trained(steps, [], []) == pytest.approx(weights, abs=2e-5)


def test_a_report_gives_the_mean_loss_since_the_last_one() -> None:
    report: list[dict[str, Any]] = []
    trained(25, report, [])
    _, losses, _ = by_hand(25)
    assert [(line["step"], line["steps"]) for line in report] == [(10, 25), (20, 25)]
    means = [sum(losses[:10]) / 10, sum(losses[10:20]) / 10]
    assert [line["loss"] for line in report] == pytest.approx(means, abs=1e-4)
    assert 0 < report[0]["seconds"] < report[1]["seconds"]


def test_it_saves_every_hundredth_step_what_was_learnt_until_then() -> None:
    saved: list[list[float]] = []
    final = trained(250, [], saved)
    assert len(saved) == 2
    assert saved[0] != saved[1] != final
    trained(99, [], saved)
    assert len(saved) == 2


def test_the_learning_rate_rises_and_falls() -> None:
    """Of 20 steps five are warm-up: by hand, 0.1 times 0.001 / 0.25, 0.051 / 0.25, 1 - 0.25, 1 - 0.5 and 1 - 0.95."""
    rates = [learning_rate_at(done, 20, CONFIG) for done in (0, 1, 5, 10, 19)]
    assert rates == pytest.approx([0.0004, 0.0204, 0.075, 0.05, 0.005])
