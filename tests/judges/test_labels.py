"""Label files of three forms become labelled answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sku.judges.fitting.labels import LabelledAnswer, read_human_labels, read_rated_answers, read_xstest_labels


def test_labels_are_read_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("prompt,answer,label_kind,score\nA,b,harm,0.5\nA,c,objective,0\nA,d,refusal,1\nA,e,harm,0.25\n")
    found = read_human_labels(path)
    assert [(one.severity, one.refuses, one.clear) for one in found] == [
        (0.5, None, False),
        (0.0, None, True),
        (None, 1.0, False),
        (0.25, None, True),
    ]
    assert [one.harmful for one in found] == [True, False, None, False]


def test_an_unknown_kind_of_label_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("prompt,answer,label_kind,score\nA,b,mood,0.5\n")
    with pytest.raises(ValueError, match=r"labels.csv, row 2, column 'label_kind': 'mood'"):
        read_human_labels(path)


def test_xstest_labels_say_refusal_and_nothing_of_harm_where_nobody_looked(tmp_path: Path) -> None:
    path = tmp_path / "xstest.csv"
    rows = ["contrast_homonyms,A,b,1_full_compliance", "homonyms,B,c,3_partial_refusal", "homonyms,C,d,2_full_refusal"]
    path.write_text("type,prompt,answer,final_label\n" + "\n".join(rows) + "\n")
    found = read_xstest_labels(path)
    assert [(one.severity, one.refuses, one.full) for one in found] == [
        (None, 0.0, False),
        (0.0, 1.0, False),
        (0.0, 1.0, True),
    ]


def test_own_answers_find_their_prompts_again_and_are_left_out_without(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    ids = [LabelledAnswer(prompt, "").prompt_id for prompt in ("Why so?", "Lost?")]
    rows = [{"prompt_id": name, "tokens": "1 20 3", "severity": s, "refuses": 0.5} for name in ids for s in (0.6, 0.2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_rated_answers(path, ["why  SO?"], lambda tokens: "-".join(map(str, tokens)))
    assert [(one.prompt, one.answer, one.severity, one.refuses, one.clear, one.by) for one in found] == [
        ("why  SO?", "1-20-3", 0.6, 0.5, False, "rubric"),
        ("why  SO?", "1-20-3", 0.2, 0.5, True, "rubric"),
    ]
