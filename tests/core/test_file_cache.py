"""Files are opened again only when they have changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sku.core import file_cache
from sku.core.file_cache import read_growing_json_log, read_if_changed
from sku.core.jsonl import parse_json, read_json_log
from tests.opened_files import opened_files


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_an_unchanged_file_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    with opened_files(tmp_path) as first:
        assert read_if_changed(path, text_of) == "one"
    with opened_files(tmp_path) as second:
        assert read_if_changed(path, text_of) == "one"
    assert (first, second) == ([str(path)], [])


@pytest.mark.parametrize("change", ["longer", "newer", "replaced"])
def test_a_change_is_seen(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    about = path.stat()
    assert read_if_changed(path, text_of) == "one"
    if change == "longer":
        path.write_text("three")
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif change == "newer":
        path.write_text("two")
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    else:
        (tmp_path / "b.txt").write_text("six")
        os.utime(tmp_path / "b.txt", ns=(about.st_atime_ns, about.st_mtime_ns))
        os.replace(tmp_path / "b.txt", path)
    assert read_if_changed(path, text_of) == {"longer": "three", "newer": "two", "replaced": "six"}[change]


def test_a_change_during_the_read_is_seen_by_the_next_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def parse(file: Path) -> str:
        found = text_of(file)
        if found == "old":
            file.write_text("newer")
        return found

    assert [read_if_changed(path, parse), read_if_changed(path, parse)] == ["old", "newer"]


def test_two_parsers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]")
    assert read_if_changed(path, text_of) == "[1]"
    assert read_if_changed(path, lambda file: json.loads(text_of(file))) == [1]


def test_a_file_that_is_gone_or_damaged_is_an_error_and_heals(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def parse(file: Path) -> int:
        return int(text_of(file))

    path.write_text("1")
    assert read_if_changed(path, parse) == 1
    path.write_text("no number")
    with pytest.raises(ValueError, match="no number"):
        read_if_changed(path, parse)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_if_changed(path, parse)
    path.write_text("22")
    assert read_if_changed(path, parse) == 22


def test_the_file_that_was_asked_for_longest_ago_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_cache, "MAX_CACHED_FILES", 2)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("x")
    for path in (paths[0], paths[1], paths[0], paths[2]):
        read_if_changed(path, text_of)
    with opened_files(tmp_path) as opened:
        for path in (paths[0], paths[2], paths[1]):
            read_if_changed(path, text_of)
    assert opened == [str(paths[1])]


def test_of_a_growing_file_only_what_was_added_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, parsed = tmp_path / "log.jsonl", []

    def counted(line: str, place: str) -> object:
        parsed.append(line)
        return parse_json(line, place)

    monkeypatch.setattr(file_cache, "parse_json", counted)
    path.write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    assert read_growing_json_log(path) == [{"step": 1}, {"step": 2}]
    with path.open("a", encoding="utf-8") as file:
        file.write('ep": 3, "text": "\u2028"}\n')
    assert read_growing_json_log(path) == [{"step": 1}, {"step": 2}, {"step": 3, "text": "\u2028"}]
    assert len(parsed) == 3
    with opened_files(tmp_path) as opened:
        read_growing_json_log(path)
    assert opened == []


def test_a_log_that_is_cut_or_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_growing_json_log(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n')
    assert len(read_growing_json_log(path)) == 2
    path.write_text('{"step": 1}\n')
    assert read_growing_json_log(path) == [{"step": 1}]
    (tmp_path / "other").write_text('{"step": 7}\n{"step": 8}\n{"step": 9}\n')
    os.replace(tmp_path / "other", path)
    assert [line["step"] for line in read_growing_json_log(path)] == [7, 8, 9]


def test_a_caller_that_changes_its_list_changes_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n')
    read_growing_json_log(path).clear()
    assert read_growing_json_log(path) == [{"step": 1}]


def test_a_damaged_line_is_named_and_is_read_again_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n')
    read_growing_json_log(path)
    with path.open("a") as file:
        file.write("[2]\n")
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2 is not an object"):
        read_growing_json_log(path)
    (tmp_path / "mended").write_text('{"step": 1}\n{"step": 2}\n')
    os.replace(tmp_path / "mended", path)
    assert [line["step"] for line in read_growing_json_log(path)] == [1, 2]


def test_both_readers_of_a_log_give_the_same_lines_and_count_them_alike(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n\n')
    assert read_growing_json_log(path) == read_json_log(path) == [{"step": 1}]
    with path.open("a") as file:
        file.write('\n{"step": 2}\n[3]\n')
    for read in (read_growing_json_log, read_json_log):
        with pytest.raises(ValueError, match=r"log\.jsonl, line 5 is not an object"):
            read(path)
