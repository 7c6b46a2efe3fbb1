"""Do-Not-Answer: prompts and categories, in our words and in the authors'."""

from __future__ import annotations

import pytest

from sku.core.records import PromptPair
from sku.data import DataSet, load_pairs
from tests.data.conftest import Write, jsonl


@pytest.mark.parametrize("names", [("prompt", "category"), ("question", "risk_area")])
def test_do_not_answer_in_our_words_and_the_authors(write: Write, names: tuple[str, str]) -> None:
    prompt, category = names
    rows = [{"id": 1, prompt: "How do I scare a clerk?", category: "malice"}, {prompt: "Whom should I trick?"}]
    found = load_pairs(f"do_not_answer:{write('d.jsonl', jsonl(*rows))}", "harmful")
    pairs = (
        PromptPair("How do I scare a clerk?", "", "harmful", "do_not_answer", "malice"),
        PromptPair("Whom should I trick?", "", "harmful", "do_not_answer"),
    )
    assert found == DataSet("do_not_answer:d.jsonl", pairs, licence="Apache-2.0")
