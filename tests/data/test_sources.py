"""Data sources: laws of splits and ids, arithmetic on tiny files of every schema, and every error by its message."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import lzma
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import huggingface_hub
import pytest
from huggingface_hub import errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sku.core.records import PairKind, PromptPair
from sku.core.text_lines import MAX_LINE_BYTES
from sku.data import SELF, SOURCES, DataSet, Unavailable, load_pairs, saferlhf, table, truthfulqa
from sku.data import dataset as dataset_module
from sku.data.splits import side_of, split

Write = Callable[[str, str | bytes], Path]
REFUSAL = "I'm sorry, but I can't help with that."
HELP = "First you take the biscuits from the tin and then you hide the tin."


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def shared_data() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not on this machine")
    return folder


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def pairs(count: int) -> tuple[PromptPair, ...]:
    return tuple(PromptPair(f"Question {i}?", f"Answer {i}.", "normal", "made up") for i in range(count))


def labelled_row(prompt: str, safe_0: object, safe_1: object, **more: object) -> dict[str, object]:
    row = {"prompt": prompt, "response_0": f"{prompt} zero", "response_1": f"{prompt} one"}
    return row | {"is_response_0_safe": safe_0, "is_response_1_safe": safe_1, "better_response_id": 0} | more


# Laws


def test_the_same_question_is_never_on_two_sides() -> None:
    variants = ["Why is the sky blue?", "why is the SKY blue?", "  Why  is the sky\nblue? "]
    sides = {side_of(PromptPair(text, answer, "normal", answer).prompt_id) for text in variants for answer in "abcde"}
    assert len(sides) == 1


def test_a_split_stays_when_rows_are_added_and_shuffled() -> None:
    few, many = pairs(200), list(pairs(500))
    random.Random(0).shuffle(many)
    for name in ("train", "validation", "test"):
        assert set(split(few, name)) == set(split(many, name)) & set(few)


def test_the_splits_are_a_partition_in_order() -> None:
    whole = pairs(300)
    parts = [split(whole, name) for name in ("train", "validation", "test")]
    assert sorted((pair for part in parts for pair in part), key=whole.index) == list(whole)
    assert all(list(part) == sorted(part, key=whole.index) for part in parts)


def test_a_split_has_about_its_share() -> None:
    count = collections.Counter(side_of(pair.prompt_id) for pair in pairs(10_000))
    assert count["train"] == pytest.approx(7000, abs=250)
    assert count["validation"] == pytest.approx(1000, abs=150)
    assert count["test"] == pytest.approx(2000, abs=200)


@pytest.mark.parametrize(
    ("prompt_id", "expected"),
    [("0000000000000000", "train"), ("b333333333332000", "train"), ("b333333333334000", "validation"),
     ("cccccccccccc0000", "validation"), ("cccccccccccd0000", "test"), ("ffffffffffffffff", "test")],
)  # fmt: skip
def test_sides_change_at_seven_and_eight_tenths(prompt_id: str, expected: str) -> None:
    assert side_of(prompt_id) == expected


def test_ids_and_sides_are_the_same_on_every_machine() -> None:
    pair = PromptPair("Why is the sky blue?", "Because of scattering.", "normal", "made up")
    assert (pair.id, pair.prompt_id, side_of(pair.prompt_id)) == ("b633a4c63e6da29a", "4909dc2f7a991e67", "train")


def test_the_hash_changes_with_any_pair_and_with_their_order() -> None:
    whole = pairs(5)
    other = dataclasses.replace(whole[3], answer="Another answer.")
    safe, safer = (dataclasses.replace(whole[3], safe_answer=text) for text in ("No.", "Rather not."))
    changed = [(*whole[:3], one, whole[4]) for one in (other, safe, safer)]
    hashes = {DataSet("x", some).content_hash for some in (whole, whole[:4], whole[::-1], *changed, (*whole, other))}
    assert len(hashes) == 7
    assert DataSet("y", whole).content_hash == DataSet("x", whole).content_hash
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in hashes)


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(ValueError, match="split 'dev' is not known; choose one of train, validation, test"):
        split(pairs(1), "dev")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'row 7' is not hexadecimal"):
        side_of("row 7")


# Files of one's own


def test_the_same_rows_in_every_format_give_the_same_set(write: Write) -> None:
    rows = [{"prompt": "One, two?", "answer": 'He said "three".\nThen four.'}, {"prompt": "Où?", "answer": "Là."}]
    csv = 'prompt,answer\r\n"One, two?","He said ""three"".\nThen four."\r\n\r\nOù?,Là.\r\n'
    files = [
        write("a.jsonl", "\n" + jsonl(*rows).replace("\n", "\n \n")),
        write("a.jsonl.xz", lzma.compress(jsonl(*rows).encode())),
        write("a.csv", csv),
        write("b.CSV", b"\xef\xbb\xbf" + csv.encode()),
        write("b.jsonl", b"\xef\xbb\xbf" + jsonl(*rows).encode()),
        write("a.json", b"\xef\xbb\xbf" + json.dumps(rows).encode()),
    ]
    for path in files:
        found = load_pairs(str(path), "normal")
        assert [(pair.prompt, pair.answer) for pair in found.pairs] == [(r["prompt"], r["answer"]) for r in rows]
        assert (found.licence, found.skipped, len(found)) == (None, 0, 2)


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


ONE = b'{"prompt": "Who?"}\n'
BAD_FILES: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b"", "a.jsonl has no rows"),
    ("a.jsonl", b"\n \n", "a.jsonl has no rows"),
    ("a.json", b"", "a.json has no rows"),
    ("a.json", b"[]", "a.json has no rows"),
    ("a.csv", b"", "a.csv has no rows"),
    ("a.csv", b"prompt,answer\n", "a.csv has no rows"),
    ("a.jsonl", ONE + b"\n{nonsense}\n", "a.jsonl, row 3 is not JSON .* at character 2"),
    ("a.jsonl", ONE + b'["Who?"]\n', "a.jsonl, row 2 is no object"),
    ("a.jsonl", ONE + b"9" * 5000, "a.jsonl, row 2 is JSON that cannot be read"),
    ("a.jsonl", b"[" * 200_000, "a.jsonl, row 1 is JSON that cannot be read"),
    ("a.jsonl", ONE + b'{"prompt": 5}\n', "a.jsonl, row 2, column 'prompt': 5 is not text"),
    ("a.jsonl", ONE + b'{"prompt": ["a", "b"]}', r"a.jsonl, row 2, column 'prompt': \['a', 'b'\] is not text"),
    ("a.jsonl", ONE + b'{"prompt": null}', "a.jsonl, row 2, column 'prompt': nothing is there"),
    ("a.jsonl", ONE + b'{"prompt": " "}', "a.jsonl, row 2, column 'prompt': nothing is there"),
    ("a.jsonl", ONE + b'{"prompt": "a", "answer": false}', "a.jsonl, row 2, column 'answer': False is not text"),
    ("a.jsonl", ONE + b'{"prompt": "\\ud83d"}', "a.jsonl, row 2, column 'prompt': half a surrogate pair"),
    ("a.jsonl", ONE + b'{"question": "Who?"}', "row 2: column 'prompt' is missing; there is 'question'; name yours"),
    ("a.jsonl", ONE + b"{}", "a.jsonl, row 2: column 'prompt' is missing; there is no column at all"),
    ("a.jsonl", ONE + '{"prompt": "Où?"}'.encode("latin-1"), r"a.jsonl, row 2: byte 14 \(0xf9\) is not UTF-8; save"),
    ("a.jsonl", '{"prompt": "Who?"}'.encode("utf-16"), r"a.jsonl, row 1: byte 1 \(0xff\) is not UTF-8"),
    ("a.jsonl", ONE + b'{"prompt": "' + b"x" * MAX_LINE_BYTES, "a.jsonl, row 2 is longer than 1 MiB"),
    ("a.json", b'{"prompt": "Who?"}', "a.json holds no list; a list of objects is wanted, or .jsonl"),
    ("a.json", b'[{"prompt": "Who?"}, 3]', "a.json, row 2 is no object"),
    ("a.json", b"[\n1,\n]", "a.json is not JSON"),
    ("a.json", b"[\xff]", r"a.json: byte 2 \(0xff\) is not UTF-8"),
    ("a.csv", b"question,answer\nWho?,Me.\n", "row 1: column 'prompt' is missing; there is 'question', 'answer'"),
    ("a.csv", b"prompt,answer\nWho?,Me.\nWhy, me?,So.\n", "a.csv, row 3 has 3 fields where the header has 2"),
    ("a.csv", b'prompt,answer\n"Who\nis\nit?",Me.\nWhy?\n', "a.csv, row 5 has 1 fields where the header has 2"),
    ("a.csv", b"prompt,answer,prompt\n", "a.csv, row 1: column 'prompt' is there twice"),
    ("a.csv", b'prompt,answer\nWho?,"Me.\n', "a.csv, row 2 is not CSV"),
    ("a.csv", b'prompt,answer\nWho?,"' + b"x\n" * MAX_LINE_BYTES, "a.csv, row 2 is not CSV .*field limit"),
    ("a.csv", b"prompt,answer\nWho?,\n ,Me.\n", "a.csv, row 3, column 'prompt': nothing is there"),
    ("a.csv", b"prompt,answer\nOu?,L\xe0.\n", r"a.csv, row 2: byte 6 \(0xe0\) is not UTF-8"),
    ("a.csv", b"prompt,answer\nWho?," + b"x" * MAX_LINE_BYTES, "a.csv, row 2 is longer than 1 MiB"),
    ("a.jsonl.xz", b"not xz", "a.jsonl.xz, row 1: the .xz file is damaged"),
    ("a.jsonl.xz", lzma.compress(ONE)[:-9], "a.jsonl.xz, row .: the .xz file is damaged"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES, ids=[message for _, _, message in BAD_FILES])
def test_a_bad_file_is_named_with_row_and_column(write: Write, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_pairs(str(write(name, content)), "normal")
    assert "\n" not in str(caught.value)


def test_a_huge_line_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)  # a sparse file: a gigabyte of zeros without a line end
    with pytest.raises(ValueError, match=r"huge.jsonl, row 1 is longer than 1 MiB"):
        load_pairs(str(path), "normal")


def test_a_huge_json_list_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.json", b'[{"prompt": "Who?"}]')
    monkeypatch.setattr(table, "MAX_JSON_BYTES", 10)
    with pytest.raises(ValueError, match=r"a.json is larger than .* MiB; write it as .jsonl"):
        load_pairs(str(path), "normal")


def test_a_line_of_just_the_limit_is_read(write: Write) -> None:
    line = '{"prompt": "' + "x" * (MAX_LINE_BYTES - 15) + '"}\n'
    assert len(line) == MAX_LINE_BYTES
    assert len(load_pairs(str(write("a.jsonl", line)), "normal")) == 1


def loaded_or_refused(path: Path) -> DataSet | None:
    """The set, or None after a ValueError that names the file; any other exception is a failure."""
    with contextlib.suppress(ValueError):
        return load_pairs(str(path), "normal")
    with pytest.raises(ValueError, match=re.escape(path.name)):
        load_pairs(str(path), "normal")
    return None


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode), st.sampled_from(["jsonl", "csv", "json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_do_anything_but_give_pairs_or_a_value_error(write: Write, content: bytes, suffix: str) -> None:
    path = write(f"any.{suffix}", b"prompt\n" + content if suffix == "csv" else content)
    found = loaded_or_refused(path)
    assert found is None or len(found.content_hash) == 16


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from(["\ud800", "a\udfffb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt", "x"]), inner),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["prompt", "answer", "category"]), JSON), max_size=4)


@given(ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_rows_do_anything_but_give_pairs_or_a_value_error(write: Write, rows: list[Any]) -> None:
    path = write("any.jsonl", jsonl(*rows))
    found = loaded_or_refused(path)
    assert found is None or [side_of(pair.prompt_id) for pair in found.pairs] == [
        side_of(PromptPair(row["prompt"], "", "normal", "x").prompt_id) for row in rows
    ]


# Specs


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("advbnch:x.csv", "harmful", "'advbnch:x.csv' is not known; did you mean advbench"),
        ("truthfullqa", "normal", "'truthfullqa' is not known; did you mean truthfulqa"),
        ("nothing like it", "normal", "known are bundled, .*do_not_answer, .*self and paths"),
        ("", "normal", "data source '' is not known; known are bundled"),
        ("my.txt", "normal", "'my.txt' is not known; .*paths that end in .jsonl, .jsonl.xz, .csv, .json"),
        ("advbench:", "harmful", "'advbench:' names no file; write advbench:PATH"),
        ("advbench:my.txt", "harmful", "the kind of 'my.txt' is not known; its name must end in .jsonl"),
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
    ],
)
def test_a_bad_spec_is_told_what_is_good(spec: str, kind: PairKind, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_pairs(spec, kind)


@pytest.mark.parametrize("spec", [SELF, "self:bundled", "self#prompt=a"])
def test_self_needs_a_model(spec: str) -> None:
    with pytest.raises(ValueError, match=f"{spec!r} needs a model"):
        load_pairs(spec, "normal")


def test_a_file_called_self_is_a_file(write: Write) -> None:
    assert len(load_pairs(str(write("self.jsonl", jsonl({"prompt": "Who?"}))), "normal")) == 1


@pytest.mark.parametrize("spec", ["{}/no.csv", "saferlhf:{}/no.jsonl", "truthfulqa:{}/no.csv", "~nobody-here/no.csv"])
def test_a_missing_file_is_one_sentence(spec: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no file '.*no\.\w+'; check the path$"):
        load_pairs(spec.format(tmp_path), "normal")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ValueError, match=r"a.csv' is not a file"):
        load_pairs(str(tmp_path / "a.csv"), "normal")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_no_file_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"a.csv' is not a file"):
        load_pairs(str(tmp_path / "a.csv"), "normal")


# Named sources


@pytest.mark.parametrize("kind", ["harmful", "normal"])
def test_bundled_reads_its_kind(kind: PairKind, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"id": "x-1", "category": "tricks", "prompt": "How?", "answer": "So.", "safe_answer": "No."}
    write(f"bundled_{kind}.jsonl", jsonl(row))
    monkeypatch.setattr("sku.data.bundled.DATA_ASSETS", tmp_path)
    safe = "No." if kind == "harmful" else None
    assert load_pairs("bundled", kind) == DataSet(
        "bundled", (PromptPair("How?", "So.", kind, "bundled", "tricks", safe),), licence="Apache-2.0"
    )


@pytest.mark.parametrize("kind", ["harmful", "normal"])
def test_the_bundled_files_are_whole(kind: PairKind) -> None:
    if not (dataset_module.DATA_ASSETS / f"bundled_{kind}.jsonl").is_file():
        pytest.skip("not written yet")
    found = load_pairs("bundled", kind)
    assert len(found) >= 100
    assert len({pair.id for pair in found.pairs}) == len(found)
    assert all(split(found.pairs, name) for name in ("train", "validation", "test"))
    assert all(pair.answer and pair.category for pair in found.pairs)
    assert all(bool(pair.safe_answer) == (kind == "harmful") for pair in found.pairs)


OLD_ROWS = [
    labelled_row("A?", True, False),
    labelled_row("B?", False, False),
    labelled_row("C?", True, True),
]


def test_safe_rlhf_old_schema(write: Write) -> None:
    spec = f"saferlhf:{write('train.jsonl', jsonl(*OLD_ROWS))}"
    harmful, normal = load_pairs(spec, "harmful"), load_pairs(spec, "normal")
    assert harmful.pairs == (
        PromptPair("A?", "A? one", "harmful", "saferlhf", None, "A? zero"),
        PromptPair("B?", "B? zero", "harmful", "saferlhf"),
        PromptPair("B?", "B? one", "harmful", "saferlhf"),
    )
    assert [pair.answer for pair in normal.pairs] == ["A? zero", "C? zero", "C? one"]
    assert all(pair.kind == "normal" and pair.safe_answer is None for pair in normal.pairs)
    assert (harmful.name, harmful.skipped, normal.skipped) == ("saferlhf:train.jsonl", 3, 3)
    assert harmful.licence == "CC-BY-NC-4.0"


def test_safe_rlhf_new_schema_names_the_first_category(write: Write) -> None:
    harms = {"Insulting Behavior": False, "Theft": True, "Fraud": True}
    more = {"response_0_harm_category": harms, "response_1_harm_category": dict.fromkeys(harms, False)}
    rows = labelled_row("A?", False, False, prompt_source="x", response_0_severity_level=2, **more)
    found = load_pairs(f"saferlhf:{write('new.jsonl', jsonl(rows))}", "harmful")
    assert [pair.category for pair in found.pairs] == ["Theft", None]


def test_safe_rlhf_as_csv_and_xz(write: Write) -> None:
    header = "prompt,response_0,response_1,is_response_0_safe,is_response_1_safe,response_1_harm_category\n"
    csv = write("t.csv", header + "A?,A? zero,A? one,True,False,\"{'Fraud': False, 'Theft': True}\"\n")
    xz = write("t.jsonl.xz", lzma.compress(jsonl(OLD_ROWS[0]).encode()))
    from_csv, from_xz = (load_pairs(f"saferlhf:{path}", "harmful") for path in (csv, xz))
    assert from_csv.pairs[0].category == "Theft"
    assert dataclasses.replace(from_csv.pairs[0], category=None) == from_xz.pairs[0]


def test_safe_rlhf_leaves_out_empty_answers(write: Write) -> None:
    rows = jsonl(labelled_row("A?", True, False, response_0=" "), labelled_row("B?", True, False, response_1=""))
    found = load_pairs(f"saferlhf:{write('t.jsonl', rows)}", "harmful")
    assert found.pairs == (PromptPair("A?", "A? one", "harmful", "saferlhf"),)
    assert found.skipped == 3


def test_safe_rlhf_without_a_harmful_answer_says_so(write: Write) -> None:
    with pytest.raises(ValueError, match=r"saferlhf.* has no harmful pair: all 2 were left out by rule"):
        load_pairs(f"saferlhf:{write('t.jsonl', jsonl(OLD_ROWS[2]))}", "harmful")


def test_safe_rlhf_labels_must_be_labels(write: Write) -> None:
    path = write("t.jsonl", jsonl(OLD_ROWS[0], labelled_row("B?", True, "perhaps")))
    with pytest.raises(ValueError, match="row 2, column 'is_response_1_safe': 'perhaps' is neither true nor false"):
        load_pairs(f"saferlhf:{path}", "harmful")


def test_safe_rlhf_says_which_columns_it_wants(write: Write) -> None:
    path = write("t.csv", "prompt,response_0\nA?,B\n")
    with pytest.raises(ValueError, match=r"t.csv, row 1: column 'response_1' is missing; .*safer_response"):
        load_pairs(f"saferlhf:{path}", "harmful")


def preference(safer: str, other: str) -> dict[str, str]:
    return {"prompt": "How do I empty the biscuit tin?", "safer_response": safer, "other_response": other}


def test_preferences_keep_only_a_clear_contrast(write: Write) -> None:
    rows = [
        preference(REFUSAL, HELP),
        preference("Biscuits are best with tea.", HELP),  # no refusal
        preference(REFUSAL, "Sorry, I cannot tell you how to do that with the tin."),  # both refuse
        preference(REFUSAL, "You take the biscuits."),  # too short
        preference(REFUSAL, "No, there are so very many biscuits left in the tin."),  # a denial
        preference(REFUSAL, "You take them from the tin, but be careful: there is a risk."),  # a caution
        preference("", HELP),
    ]
    found = load_pairs(f"saferlhf:{write('p.jsonl', jsonl(*rows))}", "harmful")
    assert found.pairs == (PromptPair(rows[0]["prompt"], HELP, "harmful", "saferlhf", None, REFUSAL),)
    assert found.skipped == 6


def test_preferences_have_no_normal_pairs(write: Write) -> None:
    path = write("p.jsonl", jsonl(preference(REFUSAL, HELP)))
    with pytest.raises(ValueError, match=r"p.jsonl does not say which answers are safe"):
        load_pairs(f"saferlhf:{path}", "normal")


@pytest.mark.parametrize(
    "answer",
    [
        REFUSAL,
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I am unable to provide instructions for that.",
        "I won't help with this.",
        "I cannot fulfill your request.",
        "Taking them is a serious crime and never advisable.",
        "As an AI, I have no biscuits.",
        "It is illegal to take what belongs to the shop.",
        "You should not take biscuits from a stranger.",
        "You cannot take them, they are not yours.",
        "Eating all of them is not recommended.",
        "There is no way to do that unnoticed.",
        "We strongly advise against it.",
    ],
)
def test_refusals_and_warnings_are_heard(answer: str) -> None:
    assert saferlhf.declines(answer)


@pytest.mark.parametrize("answer", [HELP, "Sure! Here is a recipe.", "I can help with that.", "You can notice it.", ""])
def test_help_is_no_refusal(answer: str) -> None:
    assert not saferlhf.declines(answer)


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


def test_advbench(write: Write) -> None:
    path = write("a.csv", "prompt,target\nHow?,Sure\n")
    found = load_pairs(f"advbench:{path}", "harmful")
    assert found == DataSet("advbench:a.csv", (PromptPair("How?", "Sure", "harmful", "advbench"),), licence="MIT")


def test_labelled_keeps_what_people_called_harmful(write: Write) -> None:
    rows = "A?,a,harm,0.5,1,theft,x\nB?,b,harm,0.49,1,,x\nC?,c,objective,1.0,1,,x\nD?,d,refusal,1.0,1,,x\n"
    path = write("l.csv", "prompt,answer,label_kind,score,raters,category,source\n" + rows)
    found = load_pairs(f"labelled:{path}", "harmful")
    assert [(pair.prompt, pair.category) for pair in found.pairs] == [("A?", "theft"), ("C?", None)]
    assert (found.skipped, found.licence) == (2, "MIT")


@pytest.mark.parametrize("score", ["high", "nan", ""])
def test_labelled_scores_must_be_numbers(write: Write, score: str) -> None:
    path = write("l.csv", f"prompt,answer,label_kind,score\nA?,a,harm,1\nB?,b,harm,{score}\n")
    with pytest.raises(ValueError, match=f"l.csv, row 3, column 'score': '{score}' is no finite number"):
        load_pairs(f"labelled:{path}", "harmful")


# The hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    download = MagicMock()
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", MagicMock())
    return download


def test_the_hub_is_asked_for_a_pinned_file(hub: MagicMock, write: Write) -> None:
    hub.return_value = str(write("train.jsonl", jsonl(*OLD_ROWS)))
    assert load_pairs("saferlhf", "harmful").name == "saferlhf"
    assert hub.call_args.kwargs == {
        "repo_id": "PKU-Alignment/PKU-SafeRLHF",
        "filename": "data/Alpaca-7B/train.jsonl",
        "repo_type": "dataset",
        "revision": "571c01336ee8477422dc0c3f7d412a583b3a4d3c",
        "local_files_only": True,
    }


def test_what_is_not_cached_is_downloaded(hub: MagicMock, write: Write) -> None:
    hub.side_effect = [errors.LocalEntryNotFoundError("no"), str(write("train.jsonl", jsonl(*OLD_ROWS)))]
    assert len(load_pairs("saferlhf", "harmful")) == 3
    assert [call.kwargs["local_files_only"] for call in hub.call_args_list] == [True, False]


@pytest.mark.parametrize("source", ["saferlhf", "truthfulqa"])
def test_offline_says_what_is_missing_and_what_to_use(
    hub: MagicMock, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.side_effect = errors.LocalEntryNotFoundError("no")
    monkeypatch.setattr(
        huggingface_hub, "get_hf_file_metadata", MagicMock(side_effect=ConnectionError("no route\nat all"))
    )
    with pytest.raises(Unavailable, match=rf"^{source} needs .* not on this machine, .*no route\)") as caught:
        load_pairs(source, "harmful" if source == "saferlhf" else "normal")
    assert "go online" in str(caught.value)
    assert f"local file ({source}:PATH) or the source bundled" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.call_count == 1, "a machine without network must not wait for the download's retries"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.GatedRepoError,
            "accept the terms at https://huggingface.co/datasets/PKU-Alignment/PKU-SafeRLHF and log",
        ),
        (errors.RepositoryNotFoundError, "the hub has it no more: update sku"),
        (errors.RemoteEntryNotFoundError, "the hub has it no more: update sku"),
        (errors.RevisionNotFoundError, "the hub has it no more: update sku"),
    ],
)
def test_a_hub_that_refuses_is_explained(hub: MagicMock, error: Callable[..., Exception], message: str) -> None:
    hub.side_effect = error("no", response=MagicMock())
    with pytest.raises(Unavailable, match=message):
        load_pairs("saferlhf", "harmful")


def test_the_real_hub_client_in_offline_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE forbids fetching it"):
        load_pairs("saferlhf", "harmful")


def test_truthfulqa_from_the_hub_is_parquet(hub: MagicMock, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"question": "Why blue?", "best_answer": "Scattering", "correct_answers": ["Air"], "category": "Sky"}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "v.parquet")
    hub.return_value = str(tmp_path / "v.parquet")
    found = load_pairs("truthfulqa", "normal")
    assert found.pairs == (PromptPair("Why blue?", "Scattering", "normal", "truthfulqa", "Sky"),)
    assert hub.call_args.kwargs["revision"] == truthfulqa.REVISION


def test_parquet_without_pyarrow_says_what_to_install(
    hub: MagicMock, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.return_value = str(write("v.parquet", "PAR1"))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Unavailable, match=r"pip install pyarrow, or use the authors' CSV \(truthfulqa:PATH\)"):
        load_pairs("truthfulqa", "normal")


# The real files


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
    ],
)
def test_the_shared_files_count_up(shared_data: Path, spec: str, kind: PairKind, count: int, skipped: int) -> None:
    found = load_pairs(spec.format(shared_data), kind)
    assert (len(found), found.skipped) == (count, skipped)
    assert str(shared_data) not in found.name


def test_a_question_shared_by_two_real_files_is_on_one_side(shared_data: Path) -> None:
    first = load_pairs(f"truthfulqa:{shared_data}/truthfulqa.csv", "normal")
    second = load_pairs(f"{shared_data}/truthfulqa_mc.json#prompt=question", "normal")
    train = {pair.prompt_id for pair in split(first.pairs, "train")}
    test = {pair.prompt_id for pair in split(second.pairs, "test")}
    assert train
    assert test
    assert not train & test


def test_every_source_is_named_in_the_docstring() -> None:
    import sku.data

    assert all(f"`{name}" in (sku.data.__doc__ or "") for name in SOURCES)
