"""What comes with the project: pairs, prompts that only sound harmful, and what their records say of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sku.core.records import PairKind, PromptPair
from sku.data import DataSet, load_pairs
from sku.data.bundled import BUNDLED, SOUNDS_HARMFUL
from sku.data.splits import split
from tests.data.conftest import Write, jsonl


@pytest.mark.parametrize("kind", ["harmful", "normal"])
def test_bundled_reads_its_kind(kind: PairKind, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"id": "x-1", "category": "tricks", "prompt": "How?", "answer": "So.", "safe_answer": "No."}
    write(f"bundled_{kind}.jsonl", jsonl(row))
    monkeypatch.setattr("sku.data.bundled.BUNDLED_FOLDER", tmp_path)
    safe = "No." if kind == "harmful" else None
    assert load_pairs("bundled", kind) == DataSet(
        "bundled", (PromptPair("How?", "So.", kind, "bundled", "tricks", safe),), licence="Apache-2.0"
    )


@pytest.mark.parametrize("kind", ["harmful", "normal"])
def test_the_bundled_files_are_whole(kind: PairKind) -> None:
    found = load_pairs("bundled", kind)
    assert len(found) >= 100
    assert len({pair.id for pair in found.pairs}) == len(found)
    assert all(split(found.pairs, name) for name in ("train", "validation", "test"))
    assert all(pair.answer and pair.category for pair in found.pairs)
    assert all(bool(pair.safe_answer) == (kind == "harmful") for pair in found.pairs)


def test_our_own_prompts_sound_harmful_in_many_ways() -> None:
    found = load_pairs("sounds_harmful", "normal")
    assert (len(found), found.skipped, found.licence) == (182, 0, "Apache-2.0")
    assert len({pair.prompt_id for pair in found.pairs}) == 182
    assert all(pair.kind == "normal" and pair.answer for pair in found.pairs)
    counts = Counter(pair.category for pair in found.pairs)
    assert len(counts) == 10
    assert min(counts.values()) >= 6
    assert all(split(found.pairs, name) for name in ("train", "validation", "test"))


def test_our_own_prompts_are_no_copies_of_the_bundled_ones() -> None:
    own, bundled = load_pairs("sounds_harmful", "normal"), load_pairs("bundled", "normal")
    assert not {pair.prompt_id for pair in own.pairs} & {pair.prompt_id for pair in bundled.pairs}


def test_the_record_says_how_many_pairs_there_are() -> None:
    harmful, normal = load_pairs("bundled", "harmful"), load_pairs("bundled", "normal")
    categories = {pair.category for pair in harmful.pairs}
    said = f"{len(harmful)} mild harmful pairs in {len(categories)} categories"
    assert said in BUNDLED.description
    assert f"{len(normal)} normal pairs" in BUNDLED.description
    assert f"{len(load_pairs('sounds_harmful', 'normal'))} harmless prompts" in SOUNDS_HARMFUL.description
