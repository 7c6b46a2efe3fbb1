"""Tables: the same rows from every format, every fault named by its row, and no bytes that do harm."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sku.core import jsonl as jsonl_file
from sku.core.records import PromptPair
from sku.core.text_lines import MAX_LINE_CHARACTERS
from sku.data import DataSet, load_pairs, table
from sku.data.splits import side_of
from tests.data.conftest import Write, jsonl


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
        write("lines.json", jsonl(*rows)),
        write("powershell.jsonl", jsonl(*rows).encode("utf-16")),
        write("powershell.csv", csv.encode("utf-16")),
        write("powershell.json", json.dumps(rows).encode("utf-16")),
        write("big-endian.csv", b"\xfe\xff" + csv.encode("utf-16-be")),
        write("old-mac.jsonl", jsonl(*rows).replace("\n", "\r")),
    ]
    for path in files:
        found = load_pairs(str(path), "normal")
        assert [(pair.prompt, pair.answer) for pair in found.pairs] == [(r["prompt"], r["answer"]) for r in rows]
        assert (found.licence, found.skipped, len(found)) == (None, 0, 2)


SPREADSHEETS = {
    "semicolons": "prompt;answer\nWho, you?;Me.\nWhy?;So.\n",
    "tabs": "prompt\tanswer\nWho, you?\tMe.\nWhy?\tSo.\n",
    "a line that names the separator": "sep=;\r\nprompt;answer\r\nWho, you?;Me.\r\nWhy?;So.\r\n",
    "a separator of its own": "sep=^\nprompt^answer\nWho, you?^Me.\nWhy?^So.\n",
    "a delimiter inside a quoted name": 'prompt,answer,"a;b;c;d"\n"Who, you?",Me.,\nWhy?,So.,\n',
    "columns without a name": 'prompt,answer,,,\n"Who, you?",Me.,,,\nWhy?,So.,,,\n',
    "a column of row numbers": ',prompt,answer\n0,"Who, you?",Me.\n1,Why?,So.\n',
    "cells beyond the header": 'prompt,answer\n"Who, you?",Me.,,\nWhy?,So., \n',
    "rows without anything": '\n,\nprompt,answer\n"Who, you?",Me.\n,\n , \nWhy?,So.\n,,,\n\x1a',
    "line ends of an old Mac": 'prompt,answer\r"Who, you?",Me.\rWhy?,So.\r',
    "spaces after the commas": 'prompt, answer\n"Who, you?", "Me."\nWhy?, So.\n',
    "blank cells that were not written": 'prompt,answer,,,\n"Who, you?",Me.\nWhy?,So.,,,\n',
    "cells forced to be text": 'prompt,answer\n"=""Who, you?""","=""Me."""\n="Why?",="So."\n',
    "invisible characters in the names": '\ufeffprompt\u200b,\u200banswer\n"Who, you?",Me.\nWhy?,So.\n',
    "files with marks, joined": '\ufeff\ufeff"prompt","answer"\n"Who, you?",Me.\n\ufeff"prompt","answer"\nWhy?,So.\n',
    "spaces around the names": " prompt ;answer \nWho, you?;Me.\nWhy?;So.\n",
}


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_as_offices_save_it_gives_the_pairs_in_it(write: Write, content: str, encoding: str) -> None:
    found = load_pairs(str(write("office.csv", content.encode(encoding))), "normal")
    assert [(pair.prompt, pair.answer) for pair in found.pairs] == [("Who, you?", "Me."), ("Why?", "So.")]


def test_a_line_break_in_quotes_is_kept_whatever_it_is(write: Write) -> None:
    path = write("office.csv", 'prompt,answer\r\n"Who\nare\ryou?",Me.\r\n')
    assert load_pairs(str(path), "normal").pairs[0].prompt == "Who\nare\ryou?"


ONE = b'{"prompt": "Who?"}\n'


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b"", "a.jsonl has no rows"),
    ("a.jsonl", b"\n \n", "a.jsonl has no rows"),
    ("a.json", b"", "a.json has no rows"),
    ("a.json", b"[]", "a.json has no rows"),
    ("a.csv", b"", "a.csv has no rows"),
    ("a.csv", b"prompt,answer\n", "a.csv has no rows below row 1, which is read as the names .*: 'prompt', 'answer'"),
    ("a.csv", b"404: Not Found", "a.csv has no rows below row 1, .*: '404: Not Found'"),
    ("a.csv", b"| prompt | answer |\n|---|:---:|\n| Who? | Me. |\n", "a.csv is a Markdown table; .* without row 2"),
    ("a.csv", "prompt,answer\nWho?,Me.\n\u200b,So.\n".encode(), "row 3, column 'prompt': nothing is there"),
    ("a.csv", b"prompt,answer\nNULL,So.\n", "row 2, column 'prompt': nothing is there"),
    (
        "a.json",
        b'{"train": [{"prompt": "a"}], "test": [{"prompt": "b"}]}',
        "several lists of objects: 'train', 'test'; k",
    ),
    (
        "a.json",
        b'{"prompt": "a"}\n{\n"prompt": "b"}',
        "a.json is not JSON .*; one list of objects is wanted, or .jsonl",
    ),
    ("a.json", b'[{"role": "user", "content": "Who?"}]', "if these rows are turns, write each conversation as one row"),
    ("a.csv", ",".join("abcdefghijklmnop").encode() + b"\n1" + b"," * 15, "there is 'a', .*, 'l' and 4 more"),
    ("a.ndjson", b"", "a.ndjson is empty"),
    ("a.csv", b"\n\n<!DOCTYPE html>\n<html>", "a.csv is a web page; download the data file itself"),
    ("a.csv", b"\xef\xbb\xbf<html>", "a.csv is a web page; download the data file itself"),
    ("a.csv", b"{\\rtf1\\ansi prompt,answer", "a.csv is rich text; save it as plain text"),
    ("a.jsonl.bz2", bz2.compress(ONE), "a.jsonl.bz2 is compressed with bzip2; unpack it with: bunzip2"),
    ("a.arrow", b"ARROW1\0\0", "a.arrow is Arrow; write it as JSONL"),
    ("a.jsonl", ONE + b"\n{nonsense}\n", "a.jsonl, row 3 is not JSON .* at character 2"),
    ("a.jsonl", ONE + b'["Who?"]\n', "a.jsonl, row 2 is not an object"),
    ("a.jsonl", ONE + b"9" * 5000, "a.jsonl, row 2 is JSON that cannot be read"),
    ("a.jsonl", b"[" * 200_000, "a.jsonl is JSON that cannot be read"),
    ("a.jsonl", ONE + b'{"a": ' + b"[" * 200_000, "a.jsonl, row 2 is JSON that cannot be read"),
    ("a.jsonl", b'{\n "prompt": "Who?"\n}\n', "a.jsonl, row 1 is not JSON .*; write one whole JSON object a line"),
    ("a.csv", b"My list\n\nprompt,answer\nWho?,Me.\n", "row 3 has 2 fields where row 1 has one; if row 1 is a title"),
    ("a.csv", b"My list,,\nprompt,answer,\nWho?,Me.,\n", "row 2 has 2 fields where row 1 has one; if row 1 is a ti"),
    ("a.csv", b"prompt,answer\nWho?,#NAME?\n", "row 2, column 'answer': #NAME. is an error of the spreadsheet; corr"),
    ("a.csv", b"prompt^answer\nWho?^Me.\n", "there is 'prompt.answer'; .* or divide its fields by commas"),
    ("a.csv", b"Who is it?,Me.\nWhy?,So.\n", "there is 'Who is it.', 'Me.'; .* write prompt,answer as its first row"),
    ("a.csv", b"PK\x03\x04\x14\x00", "a.csv is a spreadsheet or a zip archive; unpack it, or save it as CSV"),
    ("a.jsonl", gzip.compress(ONE), "a.jsonl is compressed with gzip; unpack it with: gunzip"),
    ("a.csv", b"<!DOCTYPE html>\n<html>", "a.csv is a web page; download the data file itself"),
    ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer .* fetch it with: git lfs pull"),
    ("a.parquet", b"PAR1", "a.parquet is Parquet; write it as JSONL"),
    ("a.jsonl.gz", gzip.compress(ONE), "a.jsonl.gz is compressed with gzip"),
    ("a.txt", b"Who?\nWhy?\n", "the kind of 'a.txt' is not known; its name must end in"),
    ("a.jsonl", ONE + b'{"prompt": 5}\n', "a.jsonl, row 2, column 'prompt': 5 is not text"),
    ("a.jsonl", ONE + b'{"prompt": ["a", "b"]}', r"a.jsonl, row 2, column 'prompt': \['a', 'b'\] is not text"),
    ("a.jsonl", ONE + b'{"prompt": null}', "a.jsonl, row 2, column 'prompt': nothing is there"),
    ("a.jsonl", ONE + b'{"prompt": " "}', "a.jsonl, row 2, column 'prompt': nothing is there"),
    ("a.jsonl", ONE + b'{"prompt": "a", "answer": false}', "a.jsonl, row 2, column 'answer': False is not text"),
    ("a.jsonl", ONE + b'{"prompt": "\\ud83d"}', "a.jsonl, row 2, column 'prompt', character 1: half a surrogate pair"),
    ("a.jsonl", ONE + b'{"text": "Who?"}', "row 2: column 'prompt' is missing; there is 'text'; name yours"),
    ("a.jsonl", ONE + b"{}", "a.jsonl, row 2: column 'prompt' is missing; there is no column at all"),
    (
        "a.jsonl",
        ONE + '{"prompt": "Où?"}'.encode("latin-1"),
        "row 2, character 14: byte 0xf9 is not UTF-8; save",
    ),
    ("a.jsonl", '{"prompt": "Who?"}'.encode("utf-16")[:-1], "a.jsonl, row 1: the text ends in the middle of a char"),
    ("a.jsonl", '{"prompt": "Who?"}'.encode("utf-16-le"), "a.jsonl, row 1, character 2: there is a NUL.* UTF-16 wi"),
    ("a.jsonl", '{"prompt": "Who?"}'.encode("utf-32"), "a.jsonl, row 1: the file is UTF-32, which is not read; sa"),
    ("a.jsonl", ONE + b'{"prompt": "a\\u0000b"}', "a.jsonl, row 2, column 'prompt', character 2: there is a NUL"),
    ("a.jsonl", ONE + b'{"prompt": "' + b"x" * MAX_LINE_CHARACTERS, "a.jsonl, row 2 is longer than 1 MiB"),
    ("a.json", b'{"prompt": "Who?"}', "a.json holds no list; a list of objects is wanted, or .jsonl"),
    ("a.json", b'[{"prompt": "Who?"}, 3]', "a.json, row 2 is not an object"),
    ("a.json", b"[\n1,\n]", "a.json is not JSON"),
    ("a.json", b"[\xff]", "a.json, line 1, character 2: byte 0xff is not UTF-8"),
    ("a.csv", b"text,answer\nWho?,Me.\n", "row 2: column 'prompt' is missing; there is 'text', 'answer'"),
    ("a.csv", b"prompt,answer\nWho?,Me.\nWhy, me?,So.\n", "a.csv, row 3 has 3 fields where the header has 2"),
    (
        "a.csv",
        b'prompt,answer\n"Who\nis\nit?",Me.\nWhy?\n',
        "a.csv, row 5 has 1 fields where the header has 2; .* add the",
    ),
    ("a.csv", b"prompt,answer,prompt\n", "a.csv, row 1: column 'prompt' is there twice"),
    ("a.csv", b'prompt,answer\nWho?,"Me.\n', "a.csv, row 2 is not CSV"),
    ("a.csv", b'prompt,answer\nWho?,"' + b"x\n" * MAX_LINE_CHARACTERS, "a.csv, row 2 is not CSV .*field limit"),
    ("a.csv", b"prompt,answer\nWho?,\n ,Me.\n", "a.csv, row 3, column 'prompt': nothing is there"),
    ("a.csv", b"prompt,answer\nOu?,L\xe0.\n", "a.csv, row 2, character 6: byte 0xe0 is not UTF-8"),
    ("a.csv", b"prompt,answer\nWho?,M\x00e.\n", "a.csv, row 2, character 7: there is a NUL"),
    ("a.csv", b"sep=;\nprompt;answer\nWho?;Me;no.\n", "a.csv, row 3 has 3 fields where the header has 2"),
    ("a.csv", b"prompt,answer, prompt\n", "a.csv, row 1: column 'prompt' is there twice"),
    ("a.csv", b"prompt,answer\nWho?," + b"x" * MAX_LINE_CHARACTERS, "a.csv, row 2 is longer than 1 MiB"),
    ("a.jsonl.xz", b"not xz", "a.jsonl.xz, row 1: the .xz file is damaged"),
    ("a.jsonl.xz", lzma.compress(ONE)[:-9], "a.jsonl.xz, row .: the .xz file is damaged"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES, ids=[message for _, _, message in BAD_FILES])
def test_a_bad_file_is_named_with_row_and_column(write: Write, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_pairs(str(write(name, content)), "normal")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("answers.txt", jsonl({"prompt": "Who?"})),
        ("answers", '[{"prompt": "Who?"}]'),
        ("a.log", b"\xef\xbb\xbf" + ONE),
        ("a.csv", '[{"prompt": "Who?"}]'),
        ("b.CSV", ONE),
    ],
)
def test_json_is_read_whatever_the_name_of_the_file(write: Write, name: str, content: str | bytes) -> None:
    assert [row.text("prompt") for row in table.read_table(write(name, content))] == ["Who?"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.ods", "'a.ods' is a spreadsheet; save it as CSV"), ("a.txt", "the kind of 'a.txt' is not known; its name")],
)
def test_what_is_no_table_is_told_what_is(write: Write, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(table.read_table(write(name, b"Who?")))


ROWS_IN_JSON: dict[str, object] = {
    "a list": [{"prompt": "Who?", "answer": "Me."}, {"prompt": "Why?", "answer": "So."}],
    "a list in an object": {
        "version": "1", "tags": [], "data": [{"prompt": "Who?", "answer": "Me."}, {"prompt": "Why?", "answer": "So."}],
    },
    "columns": {"prompt": ["Who?", "Why?"], "answer": ["Me.", "So."]},
    "rows by number": {"0": {"prompt": "Who?", "answer": "Me."}, "7": {"prompt": "Why?", "answer": "So."}},
    "columns of pandas": {"prompt": {"0": "Who?", "7": "Why?"}, "answer": {"0": "Me.", "7": "So."}},
}  # fmt: skip


@pytest.mark.parametrize("content", ROWS_IN_JSON.values(), ids=ROWS_IN_JSON)
def test_json_gives_its_rows_however_they_are_packed(write: Write, content: object) -> None:
    found = load_pairs(str(write("p.json", json.dumps(content, indent=1))), "normal")
    assert [(pair.prompt, pair.answer) for pair in found.pairs] == [("Who?", "Me."), ("Why?", "So.")]


@pytest.mark.parametrize("content", [{"prompt": ["Who?", "Why?"], "answer": ["Me."]}, {"data": [], "rows": 3}, {}, 5])
def test_json_without_clear_rows_is_refused(write: Write, content: object) -> None:
    with pytest.raises(ValueError, match=r"p.json holds no list; a list of objects is wanted"):
        load_pairs(str(write("p.json", json.dumps(content))), "normal")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("unicode.txt", "prompt\tanswer\r\nWho, you?\tMe.\r\n".encode("utf-16")),  # Excel: Unicode text
        ("a.tsv", "prompt\tanswer\tprompt, shorter, in French\nWho, you?\tMe.\tQui\n"),
        ("answers", 'prompt,answer\n"Who, you?",Me.\n'),
        ("a.psv", "prompt|answer\nWho, you?|Me.\n"),
    ],
)
def test_a_table_under_another_name_is_read(write: Write, name: str, content: str | bytes) -> None:
    (pair,) = load_pairs(str(write(name, content)), "normal").pairs
    assert (pair.prompt, pair.answer) == ("Who, you?", "Me.")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_what_programs_write_for_nothing_is_no_answer(write: Write, name: str) -> None:
    content = "prompt,answer\nWho?,NaN\n" if name == "a.csv" else '{"prompt": "Who?", "answer": NaN, "category": NaN}'
    (pair,) = load_pairs(str(write(name, content)), "normal").pairs
    assert (pair.answer, pair.category) == ("", None)


def test_a_list_in_a_jsonl_file_is_read(write: Write) -> None:
    assert load_pairs(str(write("p.jsonl", '\n[{"prompt": "Who?"}]')), "normal").pairs[0].prompt == "Who?"


def test_a_huge_line_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)  # a sparse file: a gigabyte of zeros without a line end
    with pytest.raises(ValueError, match=r"huge.jsonl, row 1 is longer than 1 MiB"):
        load_pairs(str(path), "normal")


def test_a_huge_json_list_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.json", b'[{"prompt": "Who?"}]')
    monkeypatch.setattr(jsonl_file, "MAX_JSON_BYTES", 10)
    with pytest.raises(ValueError, match=r"a.json is larger than .* MiB; write it as .jsonl"):
        load_pairs(str(path), "normal")


def test_a_line_of_just_the_limit_is_read(write: Write) -> None:
    line = '{"prompt": "' + "x" * (MAX_LINE_CHARACTERS - 15) + '"}\n'
    assert len(line) == MAX_LINE_CHARACTERS
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


@pytest.mark.parametrize(
    "spec",
    [
        "{}/no.csv", "saferlhf:{}/no.jsonl", "truthfulqa:{}/no.csv", "~nobody-here/no.csv", "no.txt", "{}/no.dat",
        "saferlhf:no.txt",
    ],
)  # fmt: skip
def test_a_missing_file_is_one_sentence(spec: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no file '.*no\.\w+'; check the path$"):
        load_pairs(spec.format(tmp_path), "normal")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ValueError, match=r"a.csv' is a folder"):
        load_pairs(str(tmp_path / "a.csv"), "normal")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_no_file_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"a.csv' is not a file"):
        load_pairs(str(tmp_path / "a.csv"), "normal")


def test_a_file_without_the_columns_says_so(write: Write) -> None:
    path = write("d.jsonl", jsonl({"text": "Who?"}))
    for source, kind in (("do_not_answer", "harmful"), ("xstest", "normal")):
        with pytest.raises(ValueError, match=r"d.jsonl, row 1: column 'prompt' is missing; there is 'text'"):
            load_pairs(f"{source}:{path}", kind)  # type: ignore[arg-type]


def viewer(*cut: str) -> str:
    """An answer of the hub's data set viewer."""
    row = {"row_idx": 0, "row": {"prompt": "Who?", "answer": "Me."}, "truncated_cells": list(cut)}
    return json.dumps({"features": [{"name": "prompt"}, {"name": "answer"}], "rows": [row], "num_rows_total": 1})


def test_the_rows_of_the_hubs_viewer_are_read_unless_it_cut_them_off(write: Write) -> None:
    (row,) = table.read_table(write("rows.json", viewer()), ("prompt", "answer"))
    assert row.text("answer") == "Me."
    with pytest.raises(
        ValueError, match=r"rows\.json, row 1: the hub's data set viewer cut off \['answer'\]; download"
    ):
        list(table.read_table(write("rows.json", viewer("answer"))))


def test_a_folder_and_what_datasets_saves_are_named_as_what_they_are(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder; give the path of a data file in it"):
        list(table.read_table(tmp_path))
    for spec in (str(tmp_path), f"{tmp_path}/"):
        with pytest.raises(ValueError, match=r"is a folder; give the path of a data file in it"):
            load_pairs(spec, "harmful")
    saved = write("data-00000-of-00001.arrow", b"\xff\xff\xff\xff\x10\x00\x00\x00")
    with pytest.raises(ValueError, match=r"is Arrow; write it as JSONL"):
        list(table.read_table(saved))
