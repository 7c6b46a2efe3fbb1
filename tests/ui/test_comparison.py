"""Comparisons leave and come back: as JSON, as a link, as an HTML page; what comes from outside is checked."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.records import Answer, Verdict
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings, comparison_from_json
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


SETTINGS: dict[str, Any] = json.loads(COMPARISON.to_json())["settings"]
PART: dict[str, Any] = json.loads(COMPARISON.to_json())["parts"][0]


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in PART.items() if name != field}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "this file is not JSON"),
        ("[" * 100_000, "this file is JSON that cannot be read"),
        (
            COMPARISON.to_json().replace('"length": 64', '"length": 1e999'),
            "settings.length is inf; it must be",
        ),
        ("[]", "this file is not a comparison"),
        (changed(sku_comparison=99), "format 99"),
        (changed(parts=[]), "at least 1 item"),
        (changed(parts=7 * json.loads(COMPARISON.to_json())["parts"]), "at most 6 items"),
        (changed(parts=[{}]), "comparison: 'parts.0.variant' is missing"),
        (changed(prompt=5), "prompt is 5; it must be a valid string"),
        (changed(prompt="x" * 30_000), "at most 20000 characters"),
        (changed(settings={}), "'settings.length' is missing"),
        *(
            (changed(parts=[without(field)]), f"'parts.0.{field}' is missing")
            for field in ("answers", "verdicts", "kl")
        ),
        (changed(settings=SETTINGS | {"seed": "3"}), "settings.seed is '3'; it must be a valid integer"),
        (changed(settings=SETTINGS | {"seed": True}), "settings.seed is True; it must be a valid integer"),
        (changed(settings=SETTINGS | {"temperature": float("nan")}), "it must be a finite number"),
        (changed(settings=SETTINGS | {"temperature": float("inf")}), "it must be a finite number"),
        (changed(settings=SETTINGS | {"temperature": True}), "it must be a valid number"),
        (COMPARISON.to_json().replace('"end"', '"never"'), "stopped is 'never'; it must be 'end'"),
        (changed(parts=[PART | {"verdicts": PART["verdicts"] * 2}]), "2 verdicts for 1 answers"),
        (changed(parts=[PART | {"answers": PART["answers"] * 65, "verdicts": []}]), "at most 64 items"),
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
    assert "<details><summary>show harmful text" in text
    assert "KL from base 0.125" in text
    both = download_links(COMPARISON)
    data = both.split("application/json;base64,")[1].split("'")[0]
    assert comparison_from_json(base64.b64decode(data).decode()) == COMPARISON


@given(
    st.text(max_size=300), st.lists(st.sampled_from(["base", "sku@1.5", "ga", "ga@0.5+sku@1"]), min_size=1, max_size=6)
)
def test_a_link_opens_what_it_was_made_of(prompt: str, variants: list[str]) -> None:
    link = LinkState(prompt.encode("utf-8", "ignore").decode(), variants, 96, 0.5, 7, 4)
    code = make_fragment(link)
    assert parse_fragment(code) == link
    assert parse_fragment("#" + code) == link
    assert set(code) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=")


def test_a_link_that_was_cut_or_made_up_opens_nothing() -> None:
    code = make_fragment(LinkState("Why?", ["base"], 96, 0.0, 0, 1))
    for text in ("", "#", None, 5, "#other=1"):
        assert parse_fragment(text) is None
    for text in (code[:-8], "c=!!!", link_of(b" " * 50_000_000), link_of(b'{"prompt": 1}'), link_of(b"[" * 19_000)):
        with pytest.raises(ValueError, match="the link is damaged or incomplete"):
            parse_fragment(text)
    good = {"prompt": "a", "variants": ["sku@1"], "length": 8, "temperature": 0, "seed": 0, "samples": 1}
    assert parse_fragment(link_of(json.dumps(good).encode())) == LinkState("a", ["sku@1"], 8, 0.0, 0, 1)
    for change in (
        {"length": True},
        {"length": "8"},
        {"temperature": float("nan")},
        {"variants": ["sku@-1"]},
        {"variants": ["base"] * 7},
        {"variants": "base"},
    ):
        with pytest.raises(ValueError, match="the link is damaged or incomplete"):
            parse_fragment(link_of(json.dumps(good | change).encode()))
    with pytest.raises(ValueError, match="the link is damaged or incomplete"):
        parse_fragment(link_of(json.dumps(good).replace("8", "1e999").encode()))


def link_of(text: bytes) -> str:
    """A link that holds this."""
    return "c=" + base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()


def test_the_answer_of_a_sum_has_no_coefficient_of_its_own() -> None:
    answer = replace(ANSWER, variant="ga@0.5+sku@1", coefficient=None)
    column = ComparedColumn("ga@0.5+sku@1", "Gradient ascent + SKU", (answer,), (HARMFUL,), 0.5)
    comparison = replace(COMPARISON, parts=(column,))
    assert comparison_from_json(comparison.to_json()) == comparison
    assert "ga@0.5+sku@1" in comparison_page(comparison)
