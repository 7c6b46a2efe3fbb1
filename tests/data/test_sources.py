"""Specs: what names a source, and what is said of one that does not. And the real files, counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.records import PairKind
from sku.data import PREFILLED, SELF, SOURCES, load_pairs, spec_in_folder
from tests.data.conftest import Write, jsonl


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("advbnch:x.csv", "harmful", "'advbnch:x.csv' is not known; did you mean advbench"),
        ("truthfullqa", "normal", "'truthfullqa' is not known; did you mean truthfulqa"),
        ("nothing like it", "normal", "known are bundled, .*do_not_answer, .*self, prefilled and paths"),
        ("", "normal", "data source '' is not known; known are bundled"),
        ("https://example.org/my.jsonl", "normal", "is an address; download the file and give its path"),
        ("hf://datasets/owner/name/my.jsonl", "normal", "is an address; download the file and give its path"),
        ("owner/name", "normal", "if it is a data set on the hub, download one of its JSONL or CSV files and give its"),
        ("advbench:", "harmful", "'advbench:' names no file; write advbench:PATH"),
        ("bundled:my.csv", "harmful", "bundled takes no file, but 'my.csv' came"),
        ("bundled#prompt=a", "harmful", "bundled knows its columns, but 'prompt=a' came"),
        ("my.csv#question", "normal", "'question' names no column; write FIELD=COLUMN, each of prompt, answer"),
        ("my.csv#promt=question", "normal", "'promt=question' names no column"),
        ("my.csv#prompt=", "normal", "'prompt=' names no column"),
        ("my.csv#prompt=a,prompt=b", "normal", "'prompt=b' names no column; .* at most once"),
        ("bundled", "harmless", "kind 'harmless' is not known; choose harmful or normal"),
        ("advbench", "harmful", "advbench is read from a local file; write advbench:PATH"),
        ("labelled", "harmful", "labelled is read from a local file; write labelled:PATH"),
        ("advbench:x.csv", "normal", "advbench has harmful pairs only; take the normal ones from bundled"),
        ("labelled:x.csv", "normal", "labelled has harmful pairs only"),
        ("truthfulqa:x.csv", "harmful", "truthfulqa has normal pairs only; take the harmful ones from bundled"),
        ("xstest", "normal", "xstest is read from a local file; write xstest:PATH, with columns prompt and type"),
        ("do_not_answer", "harmful", "do_not_answer is read from a local file; write do_not_answer:PATH"),
        ("do_not_answer:x.jsonl", "normal", "do_not_answer has harmful pairs only"),
        ("sounds_harmful", "harmful", "sounds_harmful has normal pairs only"),
        ("sounds_harmful:x.csv", "normal", "sounds_harmful takes no file, but 'x.csv' came; write sounds_harmful, or"),
        ("plain_requests", "harmful", "plain_requests has normal pairs only"),
        ("harmful_requests", "normal", "harmful_requests has harmful pairs only"),
        ("sound_harmful", "normal", "did you mean sounds_harmful?"),
    ],
)
def test_a_bad_spec_is_told_what_is_good(spec: str, kind: PairKind, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_pairs(spec, kind)


@pytest.mark.parametrize("spec", [SELF, "self:bundled", "self#prompt=a", PREFILLED, "prefilled:bundled"])
def test_self_needs_a_model(spec: str) -> None:
    with pytest.raises(ValueError, match=f"{spec!r} needs a model"):
        load_pairs(spec, "normal")


@pytest.mark.parametrize(
    ("spec", "kind", "count", "skipped"),
    [
        ("truthfulqa:{}/truthfulqa.csv", "normal", 817, 0),
        ("advbench:{}/advbench.csv", "harmful", 520, 0),
        ("labelled:{}/human_labelled_answers.csv", "harmful", 558, 595),
        ("saferlhf:{}/saferlhf_preferences_5k.jsonl", "harmful", 760, 4375),
        ("{}/do_not_answer.jsonl", "harmful", 939, 0),
        ("{}/xstest_prompts.csv#category=type", "normal", 450, 0),
        ("{}/xstest_completions.csv#category=final_label", "normal", 1350, 0),
        ("{}/truthfulqa_mc.json#prompt=question", "normal", 817, 0),
        ("xstest:{}/xstest_prompts.csv", "normal", 250, 200),
        ("xstest:{}/xstest_prompts.csv", "harmful", 200, 250),
        ("xstest:{}/xstest_completions.csv", "normal", 250, 1100),
        ("do_not_answer:{}/do_not_answer.jsonl", "harmful", 939, 0),
    ],
)
def test_the_shared_files_count_up(shared_data: Path, spec: str, kind: PairKind, count: int, skipped: int) -> None:
    found = load_pairs(spec.format(shared_data), kind)
    assert (len(found), found.skipped) == (count, skipped)
    assert str(shared_data) not in found.name


def test_a_source_is_found_by_its_own_name() -> None:
    assert all(name == source.name for name, source in SOURCES.items())
    with_files = ["saferlhf", "truthfulqa", "advbench", "labelled", "xstest", "do_not_answer"]
    assert list(SOURCES) == ["bundled", *with_files, "sounds_harmful", "plain_requests", "harmful_requests"]


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.needs_file == "required"])
def test_every_source_that_needs_a_file_asks_for_it_with_its_columns(name: str) -> None:
    source = SOURCES[name]
    with pytest.raises(ValueError, match=rf"^{name} is read from a local file; write {name}:PATH") as caught:
        load_pairs(name, source.kinds[0])
    assert all(column in str(caught.value).split("columns")[1] for column in source.columns)


ROW = {
    "prompt": "How?",
    "answer": "So.",
    "safe_answer": "No.",
    "target": "Sure",
    "label_kind": "harm",
    "score": 1,
    "type": "contrast_homonyms",
    "category": "tricks",
    "Question": "How?",
    "Best Answer": "So.",
    "safer_response": "I'm sorry, but I can't help with that.",
    "other_response": "First you take the biscuits from the tin and then you hide the tin.",
}


@pytest.mark.parametrize("name", SOURCES)
def test_pairs_carry_the_name_the_kind_and_the_licence_of_their_source(name: str, write: Write) -> None:
    source = SOURCES[name]
    kind = source.kinds[0]
    spec = name if source.needs_file == "forbidden" else f"{name}:{write('rows.jsonl', jsonl(ROW))}"
    found = load_pairs(spec, kind)
    assert {(pair.source, pair.kind) for pair in found.pairs} == {(name, kind)}
    assert {bool(pair.answer) for pair in found.pairs} == {source.has_answers}
    assert found.licence == source.licence


@pytest.mark.parametrize(
    ("spec", "moved"),
    [
        ("here.csv", "{}/here.csv"),
        ("/elsewhere/here.csv", "{}/here.csv"),
        ("here.csv#prompt=question", "{}/here.csv#prompt=question"),
        ("advbench:old/here.csv", "advbench:{}/here.csv"),
        ("self:advbench:here.csv", "self:advbench:{}/here.csv"),
        ("self:here.csv", "self:{}/here.csv"),
        ("prefilled:advbench:here.csv", "prefilled:advbench:{}/here.csv"),
        ("gone.csv", "gone.csv"),
        ("advbench:gone.csv", "advbench:gone.csv"),
        ("bundled", "bundled"),
        ("self", "self"),
        ("self:bundled", "self:bundled"),
        ("saferlhf", "saferlhf"),
    ],
)
def test_the_file_of_a_spec_is_taken_from_a_folder_that_has_it(spec: str, moved: str, tmp_path: Path) -> None:
    for name in ("here.csv", "bundled", "self", "saferlhf"):
        (tmp_path / name).touch()
    assert spec_in_folder(spec, tmp_path) == moved.format(tmp_path)
