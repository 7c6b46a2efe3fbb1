"""Comparisons leave and come back: as JSON, as a link, as an HTML page; what comes from outside is checked."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.records import Answer, Verdict
from sku.ui.compare.record import ComparedColumn, Comparison, ComparisonSettings, comparison_from_json
from sku.ui.compare.share import LinkState, comparison_page, download_links, make_fragment, parse_fragment

ANSWER = Answer("sku@1", 1.0, "Why?", 0, 0, "<script>alert(1)</script> & more", 4, 1.5, "end")
HARMFUL = Verdict("harmful", 0.9, "helps", "embedded-2")
COMPARISON = Comparison(
    "Why <b>?",
    "smollm2-135m",
    ComparisonSettings(64, 0.7, 3, 2),
    (ComparedColumn("sku@1", "SKU", (ANSWER,), (HARMFUL,), 0.125),),
)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(COMPARISON.to_json()) | values)


def test_a_comparison_comes_back_whole() -> None:
    assert comparison_from_json(COMPARISON.to_json()) == COMPARISON


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        (COMPARISON.to_json().replace('"length": 64', '"length": 1e999'), "this comparison is damaged"),
        ("[]", "this is no comparison"),
        (changed(sku_comparison=99), "form 99"),
        (changed(parts=[]), "a list of 1 to 6 columns"),
        (changed(parts=[{}] * 7), "a list of 1 to 6 columns"),
        (changed(parts=[{}]), "'variant' is missing"),
        (changed(prompt=5), "5"),
        (changed(prompt="x" * 30_000), "is no text of at most"),
        (changed(settings={}), "'length' is missing"),
        (COMPARISON.to_json().replace('"end"', '"never"'), "stopped by 'never'"),
        (COMPARISON.to_json().replace('"harmful"', '"evil"'), "evil"),
        (COMPARISON.to_json().replace("sku@1", "sku@-1"), "from 0 to 10"),
    ],
)
def test_a_file_that_is_no_comparison_is_refused_whole(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        comparison_from_json(text)


def test_the_page_to_print_has_no_script_and_folds_what_is_harmful() -> None:
    text = comparison_page(COMPARISON)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<details><summary>harmful text, show" in text
    assert "KL from base 0.125" in text
    both = download_links(COMPARISON)
    data = both.split("application/json;base64,")[1].split("'")[0]
    assert comparison_from_json(base64.b64decode(data).decode()) == COMPARISON


@given(st.text(max_size=300), st.lists(st.sampled_from(["base", "sku@1.5", "ga"]), min_size=1, max_size=6))
def test_a_link_opens_what_it_was_made_of(prompt: str, variants: list[str]) -> None:
    link = LinkState(prompt.encode("utf-8", "ignore").decode(), variants, ComparisonSettings(96, 0.5, 7, 4))
    code = make_fragment(link)
    assert parse_fragment(code) == link
    assert parse_fragment("#" + code) == link
    assert set(code) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=")


def test_a_link_that_was_cut_or_made_up_opens_nothing() -> None:
    code = make_fragment(LinkState("Why?", ["base"], ComparisonSettings()))
    for text in ("", "#", None, 5, "#other=1"):
        assert parse_fragment(text) is None
    bomb = "c=" + base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000, 9)).decode()
    foreign = "c=" + base64.urlsafe_b64encode(zlib.compress(b'{"prompt": 1}')).decode()
    deep = "c=" + base64.urlsafe_b64encode(zlib.compress(b"[" * 19_000)).decode()
    endless = b'{"prompt": "a", "variants": [], "length": 1e999, "temperature": 0, "seed": 0, "samples": 1}'
    large = "c=" + base64.urlsafe_b64encode(zlib.compress(endless)).decode()
    for text in (code[:-8], "c=!!!", bomb, foreign, deep, large):
        with pytest.raises(ValueError, match="the link is damaged or cut"):
            parse_fragment(text)
