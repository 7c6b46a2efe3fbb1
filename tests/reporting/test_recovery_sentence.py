"""The sentence above the matrix is built from the rows and claims no more than they do."""

from __future__ import annotations

import dataclasses

import pytest

from sku.core.records import ResultRow
from sku.reporting.recovery_sentence import finding_text, recovery_finding, recovery_words
from sku.reporting.robustness_matrix import MatrixCell, robustness_matrix
from tests.reporting.rows import ATTACKED, attacked


def said(rows: list[ResultRow]) -> str:
    finding = recovery_finding(robustness_matrix(rows))
    return finding_text(finding) if finding else ""


def test_rounding_is_told_first_the_largest_recovery_in_front() -> None:
    assert said(ATTACKED) == "Rounding to 4 bits brings back 100 % of what gradient ascent removed, 35 % of SKU's."
    assert said(list(reversed(ATTACKED))) == said(ATTACKED)


def test_where_rounding_brings_nothing_back_the_worst_other_attack_is_told() -> None:
    rows = [dataclasses.replace(row, recovery=-0.1) if row.attack == "int4" else row for row in ATTACKED]
    told = "The attack “Prefill, 10 tokens” brings back 80 % of what SKU removed, 23 % of gradient ascent's."
    assert said(rows) == told
    assert said([row for row in ATTACKED if row.attack != "int4"]) == told


def test_the_worst_case_is_no_attack_of_its_own() -> None:
    assert said([row for row in ATTACKED if row.attack in ("none", "any")]) == ""
    assert said([]) == ""


def test_what_cannot_be_compared_is_said_and_is_no_number() -> None:
    rows = [attacked("ga@1", "int4", 5), attacked("tv@1", "int4", 5), attacked("sku@2", "int4", 5, 0.5)]
    assert said(rows) == (
        "Rounding to 4 bits brings back 50 % of what SKU removed. "
        "Gradient ascent and task vector removed too little on these prompts to tell what “Round: int4” brings back."
    )
    assert said(rows[:1]).startswith("Gradient ascent removed too little")


def test_several_variants_of_one_run_and_runs_of_other_names_keep_their_own() -> None:
    rows = [attacked("sku@2", "int4", 5, 0.3), attacked("sku@1", "int4", 5, 0.5), attacked("mine@1", "int4", 5, 0.4)]
    assert said(rows) == "Rounding to 4 bits brings back 50 % of what sku@1 removed, 40 % of mine@1's, 30 % of sku@2's."


def test_of_many_variants_the_extremes_are_named() -> None:
    rows = [attacked(f"{name}@1", "int4", 5, rate / 10) for rate, name in enumerate(("a", "b", "c", "d", "e"), 3)]
    assert said(rows) == "Rounding to 4 bits brings back 70 % of what e@1 removed, 60 % of d@1's, 30 % of a@1's."
    many = [attacked(f"{name}@1", "int4", 5) for name in ("a", "b", "c", "d", "e")]
    assert said(many).startswith("a@1, b@1, c@1 and 2 more removed too little")


@pytest.mark.parametrize(
    ("recovery", "words"), [(0.35, "35 %"), (0.1, "perhaps 10 %"), (0.0, "nothing"), (-0.4, "nothing"), (1.3, "130 %")]
)
def test_a_recovery_that_may_be_none_is_said_with_care(recovery: float, words: str) -> None:
    assert recovery_words(MatrixCell(attacked("ga@1", "int4", 5, recovery))) == words
