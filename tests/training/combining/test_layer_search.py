"""The greedy search for coefficients by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sku.core.combining import CombineConfig
from sku.core.errors import Cancelled
from sku.models.batching import encode_answer
from sku.models.likelihood import answer_kl
from sku.models.variant_model import VariantModel
from sku.training.combining.combine import combine_runs
from sku.training.combining.layer_search import (
    LayerCoefficients,
    LayerOfOperand,
    LayerScorer,
    TrialScore,
    search_coefficients,
)
from sku.training.combining.operands import read_operand
from tests.training.combining.conftest import MakeRun

PLACES = [LayerOfOperand(0, layer) for layer in "012"]


def config(**settings: object) -> CombineConfig:
    return CombineConfig("search", ("ga",), **settings)  # type: ignore[arg-type]


def score(coefficients: LayerCoefficients) -> TrialScore:
    """Layer 0 lowers the likelihood cheaply, layer 1 dearly, and layer 2 raises it."""
    zero, one, two = (coefficients[place] for place in PLACES)
    return TrialScore(-2 - 1.0 * zero - 1.0 * one + two, 0.01 * zero + 0.03 * one)


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [(0.004, [0.0, 0.0, 0.0]), (0.012, [1.0, 0.0, 0.0]), (0.036, [2.0, 0.5, 0.0]), (1.0, [2.0, 2.0, 0.0])],
)
def test_the_cheapest_layer_is_raised_first_up_to_the_budget(budget: float, wanted: list[float]) -> None:
    found = search_coefficients(PLACES, score, config(kl_budget=budget))
    assert [found.coefficients[place] for place in PLACES] == wanted
    assert found.after == score(found.coefficients)
    assert found.after.kl <= budget
    assert found.before == TrialScore(-2.0, 0.0)


def test_a_stale_ratio_is_measured_again_before_it_counts() -> None:
    """Once layer 0 has moved, layer 1 costs more than the budget allows."""

    def joint(coefficients: LayerCoefficients) -> TrialScore:
        zero, one, _ = (coefficients[place] for place in PLACES)
        return TrialScore(-zero - 0.9 * one, 0.01 * (zero + one) + (0.5 if zero and one else 0.0))

    found = search_coefficients(PLACES, joint, config(kl_budget=0.1))
    assert [found.coefficients[place] for place in PLACES] == [2.0, 0.0, 0.0]


def test_the_number_of_trials_is_bounded() -> None:
    tried: list[int] = []
    found = search_coefficients(PLACES, score, config(kl_budget=1.0, trials=4), tried.append)
    assert tried == [1, 2, 3, 4]
    assert found.trials == 4
    assert sum(found.coefficients.values()) == 0.5, "three trials to see every layer, one accepted, one more trial"
    with pytest.raises(ValueError, match="2 trials cannot try 3 coefficients"):
        search_coefficients(PLACES, score, config(trials=2))


def test_the_scorer_scales_layers_as_merged_weights_would(
    make_run: MakeRun, pico: VariantModel, tmp_path: Path
) -> None:
    one, two = make_run("one", "tv", seed=1), make_run("two", "ga", seed=2, rank=3, targets=("v_proj", "up_proj"))
    operands = [read_operand(f"{one}@1"), read_operand(f"{two}@1")]
    row = encode_answer(pico.template, "Why?", "Because.", 100)
    scorer = LayerScorer(operands, pico, [(row, {"searched": 1.0})], [(row, {"searched": 1.0})])
    places = [LayerOfOperand(operand, layer) for operand in (0, 1) for layer in "01"]
    assert scorer.places == places
    pico.add("one", one / "adapter")
    pico.add("two", two / "adapter")
    for signed, coefficients in ({"one": -2.0, "two": 0.5}, [2.0, 2.0, 0.5, 0.5]), ({}, [0.0] * 4):
        (wanted,) = answer_kl(pico, [row], [signed])
        found = scorer.score(dict(zip(places, coefficients, strict=True)))
        assert found.harmful == pytest.approx(wanted.log_prob, abs=1e-4)
        assert found.kl == pytest.approx(wanted.kl, abs=1e-4)
    uneven = scorer.score(dict(zip(places, [2.0, 0.0, 0.5, 0.5], strict=True)))
    assert uneven.kl != pytest.approx(wanted.kl, abs=1e-3)
    assert "searched" in pico.adapters


def test_a_search_on_pico_lowers_the_likelihood_within_its_budget(
    make_run: MakeRun, pairs_file: Path, normal_file: Path, tmp_path: Path
) -> None:
    run = make_run("one", "tv", seed=1)
    lines: list[dict[str, Any]] = []
    settings = CombineConfig(
        "search",
        (f"{run}@0.2",),
        kl_budget=0.2,
        step=0.25,
        pairs=2,
        trials=10,
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
    )
    found = combine_runs(tmp_path / "run", settings, lines.append)
    combination = found.manifest.combination
    assert combination is not None
    before, after = combination["search"]["harmful_log_prob"]
    assert after < before
    assert 0 < combination["search"]["kl"] <= 0.2
    assert combination["search"]["coefficients_by_layer"][0].keys() == {"0", "1"}
    assert any(line.get("done") == 1 and line["todo"] == 10 for line in lines)
    again = combine_runs(tmp_path / "again", settings)
    assert again.manifest.combination == combination, "the search is deterministic"
    with pytest.raises(Cancelled):
        combine_runs(tmp_path / "stopped", settings, cancelled=lambda: True)
    assert not (tmp_path / "stopped").exists()
