"""JSON Lines: what is written is read, half a line is lost and nothing else, and every fault is named by its line."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sku.core.jsonl import append_json_lines, read_json_lines, read_json_log, write_json_lines
from sku.core.text_lines import MAX_LINE_CHARACTERS

SEPARATORS = "one\u2028two\u2029three\u0085four\x0bfive\x0csix\x1cseven\reight\nnine"
"""Characters at which `str.splitlines` splits, and a file must not."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(SEPARATORS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), max_size=5)
for_every_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The folder of the test is shared by all examples; each one replaces the file."""


def values(path: Path) -> list[dict[str, Any]]:
    return [line.values for line in read_json_lines(path)]


@given(OBJECTS)
@for_every_example
def test_what_is_written_is_read_by_both_readers(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, objects)
    assert values(path) == read_json_log(path) == objects
    assert path.read_bytes().count(b"\n") == len(objects)


@given(OBJECTS, OBJECTS)
@for_every_example
def test_appending_twice_is_writing_both(
    tmp_path: Path, first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    path = tmp_path / "log.jsonl"
    path.unlink(missing_ok=True)
    append_json_lines(path, first)
    append_json_lines(path, second)
    assert read_json_log(path) == first + second


@given(OBJECTS, st.data())
@for_every_example
def test_a_kill_at_any_byte_loses_the_line_it_cut_and_no_other(
    tmp_path: Path, objects: list[dict[str, Any]], data: st.DataObject
) -> None:
    path = tmp_path / "log.jsonl"
    write_json_lines(path, objects)
    left = path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))]
    path.write_bytes(left)
    whole = objects[: left.count(b"\n")]
    assert read_json_log(path) == whole
    assert path.read_bytes() == left, "reading must not change a file that somebody may be writing"
    append_json_lines(path, [{"after": 1}])
    assert read_json_log(path) == [*whole, {"after": 1}]


def test_half_a_line_may_end_within_a_character(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "' + "é".encode()[:1])
    assert read_json_log(path) == [{"a": 1}]
    append_json_lines(path, [])
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_strict_reader_takes_a_last_line_without_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}')
    assert values(path) == [{"a": 1}, {"a": 2}]
    assert read_json_log(path) == [{"a": 1}]


def test_no_file_is_an_empty_log_but_no_rows(tmp_path: Path) -> None:
    assert read_json_log(tmp_path / "log.jsonl") == []
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*rows\.jsonl'"):
        values(tmp_path / "rows.jsonl")


def test_writing_and_appending_make_the_folder(tmp_path: Path) -> None:
    append_json_lines(tmp_path / "a" / "log.jsonl", [{"a": 1}])
    write_json_lines(tmp_path / "b" / "c" / "rows.jsonl", [{"a": 2}])
    assert read_json_log(tmp_path / "a" / "log.jsonl") == [{"a": 1}]
    assert [path.name for path in (tmp_path / "b" / "c").iterdir()] == ["rows.jsonl"], "nothing is left beside it"


def test_writing_replaces_at_once_and_a_failure_leaves_the_old_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, [{"a": 1}])
    with pytest.raises(TypeError):
        write_json_lines(path, [{"a": 2}, {"a": object()}])
    with pytest.raises(TypeError):
        append_json_lines(path, [{"a": 2}, {"a": object()}])
    assert values(path) == [{"a": 1}]


def test_a_byte_order_mark_is_dropped_at_the_beginning_of_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xef\xbb\xbf"}\n')
    assert values(path) == read_json_log(path) == [{"a": "\ufeff"}]
    path.write_bytes(b'{"a": 1}\n\xef\xbb\xbf{"a": 2}\n')  # two files, joined
    assert values(path) == read_json_log(path) == [{"a": 1}, {"a": 2}]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"a": 1}\r\n \t\n{"a": 2}\n')
    lines = list(read_json_lines(path))
    assert [(line.number, line.values["a"]) for line in lines] == [(2, 1), (4, 2)]
    assert lines[1].place == f"{path}, line 4"


def test_a_compressed_file_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.xz"
    path.write_bytes(lzma.compress(b'{"a": 1}\n'))
    assert values(path) == [{"a": 1}]


BAD_LINES: list[tuple[bytes, str]] = [
    (b"{half", "is not JSON (Expecting property name enclosed in double quotes at character 2)"),
    (b'{"a": 1} {"a": 2}', "is not JSON (Extra data at character 10)"),
    (b"[1, 2]", "is not an object; an object with named values is wanted"),
    (b"null", "is not an object"),
    (b'{"a": ' + b"9" * 5000 + b"}", "is JSON that cannot be read"),
    (b"[" * 200_000, "is JSON that cannot be read"),
    (b'{"a": "\xe9"}', "character 8: byte 0xe9 is not UTF-8; save it as UTF-8"),
    (b'{"a": "' + b"x" * MAX_LINE_CHARACTERS + b'"}', "is longer than 1 MiB"),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES, ids=[message for _, message in BAD_LINES])
def test_a_damaged_line_is_named_by_both_readers(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line + b'\n{"a": 2}\n')
    own_log = () if "longer" in message else (read_json_log,)  # which this project wrote, whatever the length
    for read in (values, *own_log):
        with pytest.raises(ValueError, match=re.escape(f"{path}, line 3") + ".*" + re.escape(message)):
            read(path)


def test_what_stands_before_a_damaged_line_is_read_first(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{half\n')
    lines = read_json_lines(path)
    assert next(lines).values == {"a": 1}
    with pytest.raises(ValueError, match="line 2"):
        next(lines)


def test_the_caller_says_what_a_line_is_called_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{half\n")
    with pytest.raises(ValueError, match=r"^row 1 is not JSON \(.*\); delete the line$"):
        list(read_json_lines(path, "row", "; delete the line"))


def test_our_own_log_is_read_whatever_the_length_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    long = {"text": "x" * (2 * MAX_LINE_CHARACTERS)}
    append_json_lines(path, [long, {"text": "short"}])
    assert read_json_log(path) == [long, {"text": "short"}]


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    text = "x" * (MAX_LINE_CHARACTERS - len('{"a": ""}\n'))
    write_json_lines(path, [{"a": text}])
    assert path.stat().st_size == MAX_LINE_CHARACTERS
    assert values(path) == [{"a": text}]
    path.write_text(json.dumps({"a": text + "x"}) + "\n")
    with pytest.raises(ValueError, match="line 1 is longer than 1 MiB; write one row per line"):
        values(path)
