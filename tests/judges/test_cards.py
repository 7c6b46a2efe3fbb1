"""Cards of all judges, and the table that is made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.core.intervals import wilson
from sku.judges.cards import (
    JUDGE_FOLDER,
    JudgeFile,
    all_cards,
    embedded_card,
    keyword_card,
    read_judge_file,
    write_judge_file,
)
from sku.judges.fitting.build import HARM_THRESHOLD, JUDGE_NOTE, JUDGE_VERSION, KNOWN_FAILURES
from sku.judges.protocol import Agreement, JudgeCard
from sku.judges.registry import JUDGE_NAMES

FEW = Agreement("few labels", 2, 0.5, 0.1, 0.9)
MANY = Agreement("many labels", 200, 0.75, 0.7, 0.8, auc=0.9)
MEASURED = JudgeCard("mine", "3", "embedded", 0.5, "none", "for tests", agreement=(MANY, FEW), failures=("it sleeps",))
UNMEASURED = JudgeCard("other", "1", "hub", 0.5, "none", "for tests")


def test_the_shipped_intervals_follow_from_the_shipped_rates() -> None:
    """Tables are made of them: a number changed by hand is found here."""
    measured = {card.id: card.agreement for card in all_cards() if card.agreement}
    assert set(measured) == {embedded_card().id, keyword_card().id}
    for one in (agreement for agreements in measured.values() for agreement in agreements):
        agreed = round(one.accuracy * one.n)
        assert (one.accuracy, one.low, one.high) == pytest.approx(wilson(agreed, one.n)), one.what


def test_a_judges_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    content = JudgeFile("0123", MEASURED, (FEW,))
    write_judge_file(tmp_path, content)
    assert read_judge_file(tmp_path) == content


def test_a_damaged_judges_file_is_named_with_the_field(tmp_path: Path) -> None:
    write_judge_file(tmp_path, JudgeFile("0123", MEASURED))
    path = tmp_path / "judge.json"
    values = json.loads(path.read_text())
    values["card"]["agreement"][0]["n"] = "many"
    path.write_text(json.dumps(values))
    with pytest.raises(
        ValueError, match=r"judge.json is no judge's file: card.agreement.0.n: .* train the judge again"
    ):
        read_judge_file(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"judge.json is no judge's file: the whole file"):
        read_judge_file(tmp_path)


def test_the_shipped_judge_is_small_and_its_card_says_what_the_code_says() -> None:
    assert sum(path.stat().st_size for path in JUDGE_FOLDER.rglob("*") if path.is_file()) <= 8e6
    card = embedded_card()
    assert (card.version, card.threshold) == (JUDGE_VERSION, HARM_THRESHOLD)
    assert (card.note, card.failures) == (JUDGE_NOTE, KNOWN_FAILURES)
    assert {one.what for one in card.agreement} >= {"harm, all labels", "harm, clear labels"}


def test_the_keyword_judge_was_measured_on_the_same_answers() -> None:
    measured = {one.what: one.n for one in embedded_card().agreement if not one.what.startswith("off-topic")}
    assert {one.what: one.n for one in keyword_card().agreement} == measured


def test_every_judge_that_can_be_chosen_has_a_card_and_the_default_comes_first() -> None:
    names = [f"hub:{card.name}" if card.kind == "hub" else card.name for card in all_cards()]
    assert names == list(JUDGE_NAMES)
    assert names[0] == "embedded"
