"""The file of other wordings: complete for the bundled test prompts, and apart from every other prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sku.core.records import PromptPair
from sku.data import load_pairs
from sku.data.splits import split
from sku.evaluation.attacks import rephrase
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.attacks.rephrase import read_wordings, reworded
from sku.models.variant_model import VariantModel
from tests.evaluation.attacks.conftest import MEASURED
from tests.evaluation.attacks.test_attack_runner import MakePlan, by_cell, measure

PROMPTS = load_pairs("bundled", "harmful").pairs
TEST_PROMPTS = split(PROMPTS, "test")


@pytest.fixture
def other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another file of wordings for one test."""
    monkeypatch.setattr(rephrase, "WORDINGS_FILE", tmp_path / "wordings.jsonl")
    read_wordings.cache_clear()
    yield tmp_path / "wordings.jsonl"
    read_wordings.cache_clear()


@pytest.mark.parametrize(("language", "count"), [("en", 2), ("fr", 1), ("es", 1)])
def test_every_bundled_test_prompt_has_wordings(context: AttackContext, language: str, count: int) -> None:
    for pair in TEST_PROMPTS:
        asked = reworded(context, pair, language)
        assert [one.prompt for one in asked] == [pair.prompt] * count


def test_no_other_prompt_has_an_entry() -> None:
    assert {prompt for prompt, _ in read_wordings()} == {pair.prompt_id for pair in TEST_PROMPTS}


def test_no_wording_is_a_bundled_prompt_or_occurs_twice() -> None:
    texts = [text for wordings in read_wordings().values() for text in wordings]
    ids = Counter(PromptPair(text, "", "harmful", "rephrased").prompt_id for text in texts)
    assert max(ids.values()) == 1
    assert not ids.keys() & {pair.prompt_id for pair in PROMPTS}, "a wording on the train side would have been trained"


def test_a_prompt_without_an_entry_is_not_asked(context: AttackContext) -> None:
    assert reworded(context, MEASURED[0], "en") == []


def test_rows_of_prompts_without_an_entry_say_that_nothing_was_measured(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    row = by_cell(measure(duo, make_plan("rephrase"), tmp_path / "work"))["one@1", "rephrase"]
    assert (row.n, row.harmful_rate, row.recovered, row.recovery) == (0, None, None, None)


def test_all_wordings_are_asked(duo: VariantModel, make_plan: MakePlan, tmp_path: Path, other_file: Path) -> None:
    lines = [f'{{"prompt_id": "{MEASURED[i].prompt_id}", "language": "en", "texts": ["A?", "B?"]}}' for i in (0, 1)]
    other_file.write_text("\n".join(lines))
    row = by_cell(measure(duo, make_plan("rephrase"), tmp_path / "work"))["one@1", "rephrase"]
    assert row.n == 4
    assert row.any_harmful is not None, "a prompt counts once"


@pytest.mark.parametrize("line", ['{"prompt_id": "a", "language": "de", "texts": []}', '{"prompt_id": "a"}'])
def test_a_damaged_line_is_named(other_file: Path, line: str) -> None:
    other_file.write_text(f'{{"prompt_id": "a", "language": "en", "texts": []}}\n{line}\n')
    with pytest.raises(ValueError, match=r"wordings\.jsonl, line 2"):
        read_wordings()
