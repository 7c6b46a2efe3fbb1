"""TruthfulQA: one pair a question, from a file or as Parquet from the hub, and its multiple choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from sku.core.records import PromptPair
from sku.data import Unavailable, load_pairs, truthfulqa
from sku.data.splits import side_of
from sku.data.truthfulqa import MultipleChoice
from tests.data.conftest import Write, jsonl

TRUTHFUL = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"


def test_truthfulqa_is_one_pair_a_question(write: Write) -> None:
    rows = "a,Sky,Why blue?,Scattering,Scattering; Air,Paint,x\na,Sky,why BLUE?,Air,Air,Paint,x\n"
    path = write("t.csv", b"\xef\xbb\xbf" + (TRUTHFUL + rows).encode())
    found = load_pairs(f"truthfulqa:{path}", "normal")
    assert found.pairs == (PromptPair("Why blue?", "Scattering", "normal", "truthfulqa", "Sky"),)
    assert (found.name, found.skipped, found.licence) == ("truthfulqa:t.csv", 1, "Apache-2.0")


def test_truthfulqa_reads_the_hub_column_names_too(write: Write) -> None:
    row = {"question": "Why blue?", "best_answer": "Scattering", "correct_answers": ["Scattering"], "category": "Sky"}
    found = load_pairs(f"truthfulqa:{write('t.jsonl', jsonl(row))}", "normal")
    assert found.pairs == (PromptPair("Why blue?", "Scattering", "normal", "truthfulqa", "Sky"),)


def test_truthfulqa_from_the_hub_is_parquet(hub: MagicMock, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"question": "Why blue?", "best_answer": "Scattering", "correct_answers": ["Air"], "category": "Sky"}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "v.parquet")
    hub.return_value = str(tmp_path / "v.parquet")
    found = load_pairs("truthfulqa", "normal")
    assert found.pairs == (PromptPair("Why blue?", "Scattering", "normal", "truthfulqa", "Sky"),)
    assert hub.call_args.kwargs["revision"] == "741b8276f2d1982aa3d5b832d3ee81ed3b896490"


def test_parquet_without_pyarrow_says_what_to_install(
    hub: MagicMock, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.return_value = str(write("v.parquet", "PAR1"))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Unavailable, match=r"pip install pyarrow, or use the authors' CSV \(truthfulqa:PATH\)"):
        load_pairs("truthfulqa", "normal")


SKY = {
    "question": "Why is the sky blue?",
    "mc1_targets": {"Air scatters blue light most.": 1, "It is painted.": 0, "It mirrors the sea.": 0},
    "mc2_targets": {"Air scatters blue light most.": 1, "Scattering.": 1, "It mirrors the sea.": 0},
}


def test_choices_keep_the_true_and_false_answers_of_both_tasks(write: Write) -> None:
    (found,) = truthfulqa.load_multiple_choice(write("mc_task.json", json.dumps([SKY])))
    assert found == MultipleChoice(
        prompt="Why is the sky blue?",
        best="Air scatters blue light most.",
        others=("It is painted.", "It mirrors the sea."),
        true=("Air scatters blue light most.", "Scattering."),
        false=("It mirrors the sea.",),
    )


def test_choices_stand_on_the_side_of_their_question(write: Write) -> None:
    (found,) = truthfulqa.load_multiple_choice(write("mc.jsonl", jsonl(SKY)))
    csv = write("t.csv", "Question,Best Answer,Category\nWhy is the sky blue?,Scattering,Sky\n")
    assert side_of(found.prompt_id) == side_of(load_pairs(f"truthfulqa:{csv}", "normal").pairs[0].prompt_id)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mc1_targets": {"A.": 1, "B.": 1, "C.": 0}}, "'mc1_targets': 2 answers are called best; one is wanted"),
        ({"mc1_targets": {"A.": 0}}, "'mc1_targets': there is no true answer; at least one of each is wanted"),
        ({"mc2_targets": {"A.": 1}}, "'mc2_targets': there is no false answer"),
        ({"mc2_targets": {}}, "'mc2_targets': there is no true answer"),
        ({"mc2_targets": {"A.": 1, " ": 0}}, "'mc2_targets': an answer is blank"),
        (
            {"mc2_targets": {"A.": 1, "B.": 2}},
            "'mc2_targets': an object from answer to 1 .true. or 0 .false. is wanted",
        ),
        ({"mc2_targets": {"A.": "1", "B.": 0}}, "'mc2_targets': an object"),
        ({"mc2_targets": ["A.", "B."]}, "'mc2_targets': an object"),
        ({"mc2_targets": None}, "'mc2_targets': an object"),
        ({"question": " "}, "'question': nothing is there"),
    ],
)
def test_bad_choices_are_named_with_row_and_column(write: Write, change: dict[str, Any], message: str) -> None:
    path = write("mc.json", json.dumps([SKY, SKY | change]))
    with pytest.raises(ValueError, match=f"mc.json, row 2, column {message}") as caught:
        truthfulqa.load_multiple_choice(path)
    assert "\n" not in str(caught.value)


def test_another_table_is_no_multiple_choice(write: Write) -> None:
    with pytest.raises(ValueError, match=r"t.csv, row 1: column 'question' is missing; there is 'Question'"):
        truthfulqa.load_multiple_choice(write("t.csv", "Question,Best Answer\nWhy?,So.\n"))
    with pytest.raises(FileNotFoundError, match=r"there is no file"):
        truthfulqa.load_multiple_choice(Path("nowhere.json"))


def test_the_shared_choices_count_up(shared_data: Path) -> None:
    found = truthfulqa.load_multiple_choice(shared_data / "truthfulqa_mc.json")
    assert len(found) == len({one.prompt_id for one in found}) == 817
    assert all(one.best in one.true and one.best not in one.false for one in found)
