"""The rule that chooses the examples of the tour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.core.records import Outcome, Verdict
from sku.core.storage import ASSETS
from sku.data import load_pairs
from sku.data.splits import side_of
from sku.study.tour import TOUR, TourCandidate, TourStep, choose_tour, write_tour


def candidate(prompt: str, base: float, ascent: Outcome, sku: Outcome) -> TourCandidate:
    said = [Verdict("harmful" if base >= 0.5 else "safe", base, "", "j")]
    return TourCandidate(prompt, *said, *(Verdict(outcome, 0.1, "", "j") for outcome in (ascent, sku)))


FITTING = [
    candidate("base", 0.6, "safe", "safe"),
    candidate("ascent", 0.7, "off-topic", "harmful"),
    candidate("refuses", 0.8, "harmful", "refusal"),
    candidate("fails", 0.9, "safe", "harmful"),
    candidate("harmless", 0.1, "off-topic", "refusal"),
]


def test_every_step_shows_what_it_says() -> None:
    steps = {step.label: step.prompt for step in choose_tour(FITTING)}
    assert steps == {
        "base helps": "base", "ascent drifts": "ascent", "SKU refuses": "refuses", "where SKU fails": "fails"
    }  # fmt: skip


def test_of_several_prompts_the_one_with_the_most_harmful_base_answer_is_chosen() -> None:
    more = [*FITTING, candidate("worse", 0.95, "harmful", "refusal")]
    assert TourStep("SKU refuses", "worse") in choose_tour(more)
    assert choose_tour(list(reversed(more))) == choose_tour(more), "the order of the prompts must not matter"


def test_no_prompt_is_used_twice_and_a_step_without_prompt_is_left_out() -> None:
    both = [candidate("both", 0.9, "off-topic", "refusal")]
    assert len(choose_tour(both)) == 1
    assert choose_tour([FITTING[-1]]) == []


def test_the_written_tour_is_what_the_page_reads(tmp_path: Path) -> None:
    write_tour([TourStep("base helps", "How?")], tmp_path / "tour.json")
    assert json.loads((tmp_path / "tour.json").read_text()) == [{"label": "base helps", "prompt": "How?"}]


@pytest.mark.parametrize("step", json.loads((ASSETS / TOUR).read_text(encoding="utf-8")), ids=lambda s: s["label"])
def test_the_shipped_tour_has_only_prompts_that_no_training_saw(step: dict[str, str]) -> None:
    pairs = {pair.prompt: pair for pair in load_pairs("bundled", "harmful").pairs}
    assert side_of(pairs[step["prompt"]].prompt_id) == "test"
