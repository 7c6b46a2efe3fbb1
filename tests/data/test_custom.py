"""Files of your own: named columns, prompts alone, and names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.records import PromptPair
from sku.data import load_pairs
from tests.data.conftest import Write, jsonl


def test_named_columns_and_a_name_without_the_folder(write: Write) -> None:
    path = write("my.csv", "question,reply,refusal,topic,length\nWho?,Me.,I will not say.,people,3\nWhy?,So.,,,\n")
    found = load_pairs(f"{path}#prompt=question,answer=reply,safe_answer=refusal,category=topic", "harmful")
    assert found.name == "my.csv#prompt=question,answer=reply,safe_answer=refusal,category=topic"
    assert found.pairs == (
        PromptPair("Who?", "Me.", "harmful", "my.csv", "people", "I will not say."),
        PromptPair("Why?", "So.", "harmful", "my.csv"),
    )


def test_prompts_alone_are_enough(write: Write) -> None:
    assert load_pairs(str(write("p.jsonl", jsonl({"prompt": "Who?"}))), "harmful").pairs[0].answer == ""


def test_other_columns_may_hold_anything(write: Write) -> None:
    path = write("p.jsonl", jsonl({"prompt": "Who?", "scores": [1, 2], "category": None}))
    assert load_pairs(str(path), "normal").pairs[0].category is None


def test_a_file_name_may_hold_a_colon_or_a_hash(write: Write) -> None:
    for name in ("a:b.jsonl", "a#b.jsonl"):
        assert load_pairs(str(write(name, jsonl({"prompt": "Who?"}))), "normal").name == name


def test_a_home_folder_is_found_and_not_told(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("mine.jsonl", jsonl({"prompt": "Who?"}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_pairs("~/mine.jsonl", "normal").name == "mine.jsonl"


def test_a_file_called_self_is_a_file(write: Write) -> None:
    assert len(load_pairs(str(write("self.jsonl", jsonl({"prompt": "Who?"}))), "normal")) == 1
