"""What comes with the project: pairs, prompts that only sound harmful, and what their records say of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sku.core.records import PairKind, PromptPair
from sku.data import DataSet, load_pairs
from sku.data.bundled import BUNDLED, BUNDLED_FOLDER, HARMFUL_REQUESTS, PLAIN_REQUESTS, SOUNDS_HARMFUL
from sku.data.splits import split
from sku.evaluation.overlap import content_words, largest_overlap
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
    plain, requests = load_pairs("plain_requests", "normal"), load_pairs("harmful_requests", "harmful")
    twins = sum(pair.category == "twin" for pair in plain.pairs)
    assert f"{len(plain)} harmless requests in many shapes, {twins} of them twins" in PLAIN_REQUESTS.description
    figures = sum(pair.category == "figure" for pair in plain.pairs)
    assert f"{figures} that only sound harmful" in PLAIN_REQUESTS.description
    categories = {pair.category for pair in requests.pairs}
    assert f"{len(requests)} mild harmful requests in {len(categories)} categories" in HARMFUL_REQUESTS.description


@pytest.mark.parametrize(
    ("name", "kind", "categories"), [("plain_requests", "normal", 3), ("harmful_requests", "harmful", 18)]
)
def test_our_requests_have_no_answers_and_no_repeats(name: str, kind: PairKind, categories: int) -> None:
    found = load_pairs(name, kind)
    assert len({pair.prompt_id for pair in found.pairs}) == len(found)
    assert {pair.answer for pair in found.pairs} == {""}
    assert len({pair.category for pair in found.pairs}) == categories
    assert all(split(found.pairs, side) for side in ("train", "validation", "test"))


def test_every_harmful_prompt_has_a_harmless_twin() -> None:
    harmful = [row["id"] for row in _rows("bundled_harmful")]
    twins = {row["id"] for row in _rows("plain_requests") if row["category"] == "twin"}
    expected = {identifier.replace("harmful-", "twin-", 1) for identifier in harmful}
    assert expected - twins == set()


@pytest.mark.parametrize(("name", "kind"), [("plain_requests", "normal"), ("harmful_requests", "harmful")])
def test_our_requests_give_no_test_prompt_away(name: str, kind: PairKind) -> None:
    """Somebody who trains on all of them may still measure on the test side of the other bundled prompts."""
    requests = {content_words(pair.prompt) for pair in load_pairs(name, kind).pairs}
    measured: tuple[tuple[str, PairKind], ...]
    measured = (("bundled", "harmful"), ("bundled", "normal"), ("sounds_harmful", "normal"))
    for source, measured_kind in measured:
        for pair in split(load_pairs(source, measured_kind).pairs, "test"):
            share = largest_overlap(content_words(pair.prompt), requests)
            assert share <= 0.5, f"{name} has a near copy of this test prompt of {source}: {pair.prompt}"


def _rows(name: str) -> list[dict[str, str]]:
    text = (BUNDLED_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
