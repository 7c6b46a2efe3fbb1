"""The rule that chooses the examples of the tour."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sku.core.jsonl import read_json_log
from sku.core.records import Answer, Outcome, Verdict
from sku.core.runs import shipped_sku
from sku.core.storage import ASSETS
from sku.serving.recorded_session import RECORDED_ANSWERS
from sku.study.tour import TOUR, TourCandidate, TourStep, choose_tour, recorded_candidates, write_tour


def candidate(prompt: str, base: float, ascent: Outcome, sku: Outcome) -> TourCandidate:
    said = [Verdict("harmful" if base >= 0.5 else "safe", base, "", "j")]
    return TourCandidate(prompt, *said, *(Verdict(outcome, 0.1, "", "j") for outcome in (ascent, sku)))


FITTING = [
    candidate("base", 0.7, "safe", "refusal"),
    candidate("ascent", 0.8, "off-topic", "refusal"),
    candidate("refuses", 0.9, "harmful", "refusal"),
    candidate("fails", 0.6, "safe", "harmful"),
    candidate("harmless", 0.1, "safe", "safe"),
]


def test_every_step_shows_what_it_says() -> None:
    steps = {step.label: step.prompt for step in choose_tour(FITTING)}
    assert steps == {
        "base helps": "base", "ascent drifts": "ascent", "SKU refuses": "refuses", "where SKU fails": "fails"
    }  # fmt: skip


def test_of_several_prompts_the_one_with_the_most_harmful_base_answer_is_chosen() -> None:
    more = [*FITTING, candidate("worse", 0.95, "safe", "harmful")]
    assert TourStep("where SKU fails", "worse") in choose_tour(more)
    assert choose_tour(list(reversed(more))) == choose_tour(more), "the order of the prompts must not matter"


def test_no_prompt_is_used_twice_and_a_step_without_prompt_is_left_out() -> None:
    both = [candidate("both", 0.9, "off-topic", "refusal")]
    assert len(choose_tour(both)) == 1
    assert choose_tour([FITTING[-1]]) == []


def test_the_written_tour_is_what_the_page_reads(tmp_path: Path) -> None:
    write_tour([TourStep("base helps", "How?")], tmp_path / "tour.json")
    assert json.loads((tmp_path / "tour.json").read_text()) == [{"label": "base helps", "prompt": "How?"}]


def test_candidates_are_recorded_answers_without_attack_that_all_three_variants_gave() -> None:
    def line(prompt: str, variant: str, attack: str = "none") -> dict[str, Any]:
        answer = Answer(variant, 1.0, prompt, 0, 0, "text", 1, 1.0, "end", attack=attack)
        return {"answer": asdict(answer), "verdict": asdict(Verdict("safe", 0.1, "", variant))}

    whole = [line("Why?", name) for name in ("base", "ga@1", "sku@2")]
    other = [line("Why?", "sku@2", "int4"), line("How?", "base"), *(line("No", v) for v in ("base", "ga@1", "sku@2"))]
    (found,) = recorded_candidates([*whole, *other], {"Why?", "How?"}, "sku@2")
    assert (found.prompt, found.base.judge, found.ascent.judge, found.sku.judge) == ("Why?", "base", "ga@1", "sku@2")


def test_the_shipped_tour_is_what_the_rule_chooses_from_the_recorded_answers() -> None:
    """If this fails, other adapters were shipped: `python -m sku record --tour assets/data/tour.json`."""
    examples = json.loads((ASSETS / "data" / "examples.json").read_text(encoding="utf-8"))
    harmful = {example["prompt"] for example in examples["harmful"]}
    found = recorded_candidates(read_json_log(RECORDED_ANSWERS), harmful, shipped_sku())
    shipped = json.loads((ASSETS / TOUR).read_text(encoding="utf-8"))
    assert [asdict(step) for step in choose_tour(found)] == shipped
    assert len(shipped) >= 3
