"""Which prompts an evaluation asks: by category, and without those that overlap with training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sku.core.config import DecodingConfig, TrainConfig
from sku.core.runs import Manifest, Run
from sku.evaluation.attacks.suite import AttackSources
from sku.evaluation.plan import PromptSets, PromptSources
from sku.evaluation.prompt_sets import drop_overlap, load_prompt_sets
from sku.models.variant_model import VariantModel
from sku.serving.live_session import LiveSession

CATEGORIES = ("fraud", "theft", None)


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def harmful(tmp_path: Path) -> str:
    """Thirty prompts of two categories and of none. Without a side, all are measured, for it is a user's own file."""
    rows = [
        {"prompt": f"How {i}?", "answer": "So.", "safe_answer": "No.", "category": CATEGORIES[i % 3]} for i in range(30)
    ]
    return write(tmp_path / "harmful.jsonl", rows)


def sources(harmful: str, **settings: Any) -> PromptSources:
    nothing: tuple[str, ...] = ()
    return PromptSources((harmful,), (harmful,), nothing, nothing, nothing, **settings)


def categories_of(sets: PromptSets) -> tuple[set[str | None], set[str | None]]:
    return {pair.category for pair in sets.harmful}, {pair.category for pair in sets.pairs}


def test_only_prompts_and_pairs_of_the_named_categories_are_measured(pico: VariantModel, harmful: str) -> None:
    found = load_prompt_sets(pico, sources(harmful, categories=("theft",)), None)
    assert categories_of(found) == ({"theft"}, {"theft"})
    assert len(found.harmful) == len(found.pairs) == 10
    rest = load_prompt_sets(pico, sources(harmful, leave_out=("theft",)), None)
    assert categories_of(rest) == ({"fraud", None}, {"fraud", None})
    whole = load_prompt_sets(pico, sources(harmful), None)
    assert {*found.harmful, *rest.harmful} == set(whole.harmful)
    assert len({sets.hashes()["harmful"] for sets in (found, rest, whole)}) == 3, "rows of different sets differ"


def test_the_limit_counts_prompts_of_the_named_categories(pico: VariantModel, harmful: str) -> None:
    found = load_prompt_sets(pico, sources(harmful, categories=("theft",), limit=7), None)
    assert len(found.harmful) == 7


def test_a_category_that_no_measured_prompt_has_is_refused(pico: VariantModel, harmful: str) -> None:
    with pytest.raises(
        ValueError, match="no harmful prompt to measure has the category 'thefts'; choose from fraud, t"
    ):
        load_prompt_sets(pico, sources(harmful, categories=("fraud", "thefts")), None)
    with pytest.raises(ValueError, match="no harmful prompt has the category 'thefts'; choose from fraud, theft"):
        load_prompt_sets(pico, sources(harmful, leave_out=("thefts",)), None)
    with pytest.raises(ValueError, match="no harmful prompt is left"):
        load_prompt_sets(pico, sources(harmful, categories=("theft",), leave_out=("theft",)), None)


def test_a_category_without_prompts_on_the_measured_side_is_refused(pico: VariantModel) -> None:
    """The bundled data have drugs, but none of them on the validation side."""
    with pytest.raises(
        ValueError, match="on the validation side has the category 'drugs'; choose from dangerous_advice"
    ):
        load_prompt_sets(pico, sources("bundled", categories=("drugs",)), "validation")
    rest = load_prompt_sets(pico, sources("bundled", leave_out=("drugs",)), "validation")
    assert len(rest.harmful) == len(load_prompt_sets(pico, sources("bundled"), "validation").harmful)


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    """A run that was trained on one question, often enough that some copies are on the training side."""
    rows = [{"prompt": f"How do I pick the lock of a door, number {i}?", "answer": "So."} for i in range(20)]
    file = write(tmp_path / "trained.jsonl", rows)
    config = TrainConfig(harmful=(file,), normal=(file,))
    return Run(tmp_path / "run", Manifest("sku", config.to_dict(), "pico", ""))


PARAPHRASE, OTHER = "How can one pick the locks of doors?", "How do I feed cats?"


def test_overlapping_prompts_and_pairs_are_left_out_and_counted(
    pico: VariantModel, trained: Run, tmp_path: Path
) -> None:
    rows = [{"prompt": prompt, "answer": "So.", "safe_answer": "No."} for prompt in (PARAPHRASE, OTHER)]
    asked = sources(write(tmp_path / "asked.jsonl", rows), drop_overlap=0.5)
    sets = load_prompt_sets(pico, asked, None)
    said: list[str] = []
    found = drop_overlap(sets, [trained], asked, said.append)
    assert [pair.prompt for pair in found.harmful] == [pair.prompt for pair in found.pairs] == [OTHER]
    (line,) = said
    assert line.startswith(
        "overlap: left out 1 of 2 harmful prompts and 1 of 2 harmful pairs, which share at least 50%"
    )
    assert found.hashes() != sets.hashes()


def test_without_the_option_nothing_is_loaded_and_nothing_is_left_out(trained: Run) -> None:
    sets = PromptSets()
    assert drop_overlap(sets, [trained], PromptSources(), pytest.fail) is sets


def test_an_audit_without_training_prompts_is_refused(pico: VariantModel, harmful: str, trained: Run) -> None:
    """Nothing left out would read as nothing found."""
    asked = sources(harmful, drop_overlap=0.5)
    sets = load_prompt_sets(pico, asked, None)
    with pytest.raises(ValueError, match=r"overlap cannot be measured: .*measure a trained variant too"):
        drop_overlap(sets, [], asked, print)
    Path(trained.manifest.config["harmful"][0]).unlink()
    said: list[str] = []
    with pytest.raises(ValueError, match="give --training-data the folder"):
        drop_overlap(sets, [trained], asked, said.append)
    assert "trained.jsonl" in said[0]


def test_an_audit_that_leaves_no_prompt_is_refused(pico: VariantModel, trained: Run, tmp_path: Path) -> None:
    asked = sources(write(tmp_path / "asked.jsonl", [{"prompt": PARAPHRASE, "answer": "So."}]), drop_overlap=0.5)
    with pytest.raises(ValueError, match="every harmful prompt overlaps with training by 50% or more; raise"):
        drop_overlap(load_prompt_sets(pico, asked, None), [trained], asked, print)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"drop_overlap is .*; it must be above 0 and at most 1"):
        PromptSources(drop_overlap=share)


def test_a_fault_in_the_prompts_is_found_before_the_base_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = LiveSession("a-base-that-is-not-there")
    monkeypatch.setattr(session, "load", lambda: pytest.fail("the base is loaded before the prompts are read"))
    missing, decoding = (str(tmp_path / "none.jsonl"),), DecodingConfig()
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        session.evaluate(["base"], PromptSources(harmful=missing), None, decoding, "embedded", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        session.attack(["base"], (), AttackSources(harmful=missing), decoding, "embedded", tmp_path)
