"""Answers that people scored: what counts as harmful."""

from __future__ import annotations

import pytest

from sku.data import load_pairs
from tests.data.conftest import Write


def test_labelled_keeps_what_people_called_harmful(write: Write) -> None:
    rows = "A?,a,harm,0.5,1,theft,x\nB?,b,harm,0.49,1,,x\nC?,c,objective,1.0,1,,x\nD?,d,refusal,1.0,1,,x\n"
    path = write("l.csv", "prompt,answer,label_kind,score,raters,category,source\n" + rows)
    found = load_pairs(f"labelled:{path}", "harmful")
    assert [(pair.prompt, pair.category) for pair in found.pairs] == [("A?", "theft"), ("C?", None)]
    assert (found.skipped, found.licence) == (2, "MIT")


@pytest.mark.parametrize("score", ["high", "nan", ""])
def test_labelled_scores_must_be_numbers(write: Write, score: str) -> None:
    path = write("l.csv", f"prompt,answer,label_kind,score\nA?,a,harm,1\nB?,b,harm,{score}\n")
    with pytest.raises(ValueError, match=f"l.csv, row 3, column 'score': '{score}' is not a finite number"):
        load_pairs(f"labelled:{path}", "harmful")
