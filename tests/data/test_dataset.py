"""A set of pairs is known by its hash, and a source cannot contradict itself."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from sku.data import DataSet, Source
from tests.data.conftest import pairs


def test_the_hash_changes_with_any_pair_and_with_their_order() -> None:
    whole = pairs(5)
    other = dataclasses.replace(whole[3], answer="Another answer.")
    safe, safer = (dataclasses.replace(whole[3], safe_answer=text) for text in ("No.", "Rather not."))
    changed = [(*whole[:3], one, whole[4]) for one in (other, safe, safer)]
    hashes = {DataSet("x", some).content_hash for some in (whole, whole[:4], whole[::-1], *changed, (*whole, other))}
    assert len(hashes) == 7
    assert DataSet("y", whole).content_hash == DataSet("x", whole).content_hash
    assert all(re.fullmatch("[0-9a-f]{16}", found) for found in hashes)


SOURCE = Source("made_up", "made up", "MIT", lambda _path, _kind: pairs(1), "required", columns=("prompt",))


def test_a_source_reads_a_file_or_knows_one() -> None:
    for changes in ({"needs_file": "optional"}, {"needs_file": "forbidden"}, {"default_file": lambda _: "here"}):
        with pytest.raises(ValueError, match="made_up must either require a file or have a default file"):
            dataclasses.replace(SOURCE, **changes)  # type: ignore[arg-type]


def test_a_source_that_requires_a_file_says_what_must_be_in_it() -> None:
    with pytest.raises(ValueError, match="made_up requires a file; say which columns"):
        dataclasses.replace(SOURCE, columns=())


def test_a_spec_shows_whether_a_file_is_wanted() -> None:
    optional = dataclasses.replace(SOURCE, needs_file="optional", default_file=lambda _: Path("here"))
    forbidden = dataclasses.replace(optional, needs_file="forbidden")
    assert [source.spec for source in (SOURCE, optional, forbidden)] == ["made_up:FILE", "made_up[:FILE]", "made_up"]
