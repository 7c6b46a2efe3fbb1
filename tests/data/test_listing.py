"""Lists of sources: the page shows what it always showed, and no source is missing from help and documents."""

from __future__ import annotations

import pytest

from sku.core.records import PairKind
from sku.data import SOURCES
from sku.data.listing import page_sources, sources_table, training_sources


def test_the_page_offers_these_sources_in_this_order() -> None:
    assert list(page_sources("harmful").items()) == [
        ("bundled (mild, comes with the project)", "bundled"),
        ("PKU-SafeRLHF (hub)", "saferlhf"),
    ]
    assert list(page_sources("normal").items()) == [
        ("own answers of the base", "self"),
        ("bundled", "bundled"),
        ("TruthfulQA (hub)", "truthfulqa"),
        ("own answers to TruthfulQA (hub)", "self:truthfulqa"),
    ]


def test_help_names_what_has_answers_of_the_kind() -> None:
    expected = "bundled, saferlhf[:FILE], advbench:FILE, labelled:FILE, self[:SOURCE], prefilled[:SOURCE], or a file"
    assert training_sources("harmful") == expected
    own = "self[:SOURCE], prefilled[:SOURCE], or a file"
    assert training_sources("normal") == f"bundled, saferlhf[:FILE], truthfulqa[:FILE], sounds_harmful, {own}"


@pytest.mark.parametrize("kind", ["harmful", "normal"])
def test_the_page_offers_nothing_that_training_cannot_learn_from(kind: PairKind) -> None:
    offered = {name.removeprefix("self:") for name in page_sources(kind).values()} - {"self"}
    for source in (SOURCES[name] for name in offered):
        assert kind in source.kinds
        assert source.has_answers
        assert source.needs_file != "required", "the list on the page has no place for a file's name"


def test_the_table_has_one_row_a_source() -> None:
    head, rule, *rows = sources_table()
    assert head.count("|") == rule.count("|") == 5
    assert [row.split("`")[1].split(":")[0].rstrip("[") for row in rows] == list(SOURCES)
    for row, source in zip(rows, SOURCES.values(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1:] == [" and ".join(source.kinds), source.description, source.licence]
