"""A KL budget raises the weight of the KL term while the KL is above it, and lowers it while it is below."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.training.kl_budget import HIGHEST, LOWEST, KlBudget
from sku.training.trainer import run_training
from tests.training.runs import WEIGHTS

BUDGETED = TrainConfig(method="ga_mismatch", kl_budget=0.1)


def test_the_weight_follows_the_excess_and_stays_within_its_bounds() -> None:
    budget = KlBudget(BUDGETED)
    before = budget.weights
    budget.update({"retention": 0.3, "ascent": -9.0, "mismatch": 9.0})
    assert budget.factor == pytest.approx(1.2)
    assert budget.weights == before | {"retention": pytest.approx(before["retention"] * 1.2)}
    budget.update({"retention": 100.0})
    assert budget.factor == HIGHEST
    for _ in range(100):
        budget.update({"retention": 0.0})
    assert budget.factor == LOWEST


def test_without_a_budget_no_weight_changes() -> None:
    budget = KlBudget(TrainConfig(method="ga_mismatch"))
    budget.update({"retention": 50.0})
    assert budget.weights == TrainConfig(method="ga_mismatch").terms


@pytest.mark.parametrize(
    ("method", "preservation"), [("tv", "keep"), ("sku", "push"), ("sku", "off")]
)  # without a KL term, or one that pushes
def test_a_budget_needs_a_term_that_keeps_the_kl_low(method: str, preservation: str) -> None:
    with pytest.raises(ValueError, match=r"kl_budget 0.1 has nothing to limit: .*choose a method with one"):
        TrainConfig(method=method, preservation=preservation, kl_budget=0.1)  # type: ignore[arg-type]


def test_a_resumed_run_goes_on_with_the_weight_it_had(config: TrainConfig, tmp_path: Path) -> None:
    budgeted = dataclasses.replace(config, method="ga_mismatch", kl_budget=1e-3, learning_rate=1e-2)
    whole = run_training(tmp_path / "whole", budgeted)
    seen: list[int] = []
    with pytest.raises(Cancelled):
        run_training(tmp_path / "cut", budgeted, lambda line: seen.append(line.get("step", 0)), lambda: 3 in seen)
    done = run_training(tmp_path / "cut", budgeted, resume=True)
    weights = [line["weights"]["retention"] for line in runs.read_log(done.folder)]
    assert weights == [line["weights"]["retention"] for line in runs.read_log(whole.folder)]
    assert len(set(weights)) == len(weights)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
