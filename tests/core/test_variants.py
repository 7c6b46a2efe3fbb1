"""Names, coefficients, and the one minus sign."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core.methods import FOREIGN
from sku.core.variants import (
    MAX_COEFFICIENT,
    MAX_PARTS,
    MAX_TEXT_CHARACTERS,
    KnownAdapter,
    Variant,
    VariantPart,
    VariantSpec,
    parse_variant,
    resolve_variant,
    subtract_foreign,
)

KNOWN = {
    "sku": KnownAdapter("sku", "sku", 1.5),
    "ga": KnownAdapter("ga", "ga"),
    "/a/run@home": KnownAdapter("run_1", "tv"),
    "me/mine": KnownAdapter("run_2", FOREIGN),
}


def lookup(name: str) -> KnownAdapter:
    return KNOWN[name]


def test_a_negated_method_is_subtracted_and_an_applied_one_added() -> None:
    assert resolve_variant("sku@2", lookup) == Variant("sku", 2.0, {"sku": -2.0})
    assert resolve_variant("ga@2", lookup) == Variant("ga", 2.0, {"ga": 2.0})


def test_without_a_coefficient_the_default_is_used() -> None:
    assert resolve_variant("sku", lookup).coefficients == {"sku": -1.5}
    assert str(resolve_variant("sku", lookup)) == "sku@1.5"


def test_coefficient_zero_is_the_row_of_the_base() -> None:
    assert resolve_variant("sku@0", lookup).coefficients == resolve_variant("base", lookup).coefficients == {}
    assert resolve_variant("base", lookup) == Variant("base", 0.0)
    assert str(resolve_variant("base", lookup)) == "base"


def test_acquired_is_the_stage_1_model() -> None:
    assert resolve_variant("acquired:sku@1", lookup) == Variant("acquired:sku", 1.0, {"sku": 1.0})
    assert resolve_variant("acquired:sku", lookup).coefficients == {"sku": 1.5}
    assert str(resolve_variant("acquired:sku@1+ga@1", lookup)) == "acquired:sku@1+ga@1"


@pytest.mark.parametrize(
    "text",
    ["base", "sku", "sku@0.5", "acquired:sku", "acquired:sku@2", "ga+acquired:sku@0.5+/a/b@c", "negated:me/mine@2"],
)
def test_what_was_parsed_is_written_as_it_came(text: str) -> None:
    assert str(parse_variant(text)) == text
    assert str(parse_variant("base@0")) == "base"


def test_a_run_folder_may_have_an_at_sign() -> None:
    assert parse_variant("/a/run@home") == VariantSpec((VariantPart("/a/run@home"),))
    assert parse_variant("/a/run@home@0.5") == VariantSpec((VariantPart("/a/run@home", 0.5),))
    assert parse_variant("/a/run@v2") == VariantSpec((VariantPart("/a/run@v2"),))
    assert resolve_variant("/a/run@home@0.5", lookup).coefficients == {"run_1": -0.5}


@pytest.mark.parametrize("number", ["-1", "inf", "nan", "1e9", "10.01", "", "one"])
@pytest.mark.parametrize("name", ["sku", "acquired:sku"])
def test_a_bad_coefficient_says_what_came_and_that_it_has_no_sign(name: str, number: str) -> None:
    said = (
        f"coefficient '{number}' of variant '{name}@{number}' is not a number from 0 to 10; the method decides the sign"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_variant(f"{name}@{number}")


@pytest.mark.parametrize("text", ["@1", "", "  ", "acquired:", "acquired:@1"])
def test_a_variant_without_a_name_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=f"variant {text!r} has no name; write NAME or NAME@COEFFICIENT"):
        parse_variant(text)


@pytest.mark.parametrize("number", ["inf", "nan"])
def test_in_a_path_too_no_number_is_a_bad_coefficient(number: str) -> None:
    with pytest.raises(ValueError, match=f"coefficient '{number}'"):
        parse_variant(f"/a/run@{number}")


def test_the_base_takes_no_coefficient() -> None:
    with pytest.raises(ValueError, match="write base"):
        resolve_variant("base@1", lookup)
    assert resolve_variant("base@0", lookup).coefficients == {}


@given(st.floats(0, MAX_COEFFICIENT).map(lambda c: float(f"{c:g}")))
def test_a_written_variant_reads_back(coefficient: float) -> None:
    variant = resolve_variant(f"sku@{coefficient:g}", lookup)
    assert resolve_variant(str(variant), lookup) == variant


@given(st.text(max_size=40))
def test_no_text_does_worse_than_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(parse_variant(text).names)


def test_in_a_sum_every_coefficient_has_the_sign_of_its_own_method() -> None:
    variant = resolve_variant("ga@0.5+sku@1", lookup)
    assert variant.coefficients == {"ga": 0.5, "sku": -1.0}
    assert str(variant) == "ga@0.5+sku@1"
    assert variant.coefficient is None
    assert resolve_variant("acquired:sku@1 + sku@0.25", lookup).coefficients == {"sku": 0.75}


def test_a_sum_takes_defaults_and_reads_back() -> None:
    variant = resolve_variant("ga+sku", lookup)
    assert str(variant) == "ga@1+sku@1.5"
    assert resolve_variant(str(variant), lookup) == variant


def test_opposite_parts_of_a_sum_are_the_row_of_the_base() -> None:
    assert resolve_variant("sku@1+acquired:sku@1", lookup).coefficients == {}
    assert resolve_variant("sku@0+ga@0", lookup).coefficients == {}


def test_a_plus_in_a_path_or_a_number_separates_nothing() -> None:
    assert parse_variant("/a+b/run@1+sku@2").names == ("/a+b/run", "sku")
    assert parse_variant("./a+b").names == ("./a+b",)
    assert parse_variant("/a@home/b+c@1+sku").names == ("/a@home/b+c", "sku")
    assert parse_variant("sku@1e+0 + ga").names == ("sku", "ga")
    assert len(parse_variant("+".join(f"run{i}@1" for i in range(MAX_PARTS))).parts) == MAX_PARTS
    assert parse_variant("sku@1e+0+ga@2.5E+0").parts == (VariantPart("sku", 1.0), VariantPart("ga", 2.5))
    assert parse_variant("sku@1+20261129-sku@2").names == ("sku", "20261129-sku")


def test_the_longest_text_is_still_read() -> None:
    longest = "x" * MAX_TEXT_CHARACTERS
    assert parse_variant(longest).names == (longest,)
    with pytest.raises(ValueError, match=f"has {MAX_TEXT_CHARACTERS + 1} characters"):
        parse_variant(longest + "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base+sku@1", "leave base out of the sum"),
        ("sku@1+", "has no name"),
        ("sku@1++ga", "has no name"),
        ("sku@1+ga@-1", "is not a number from 0 to 10"),
        ("+".join(f"run{i}@1" for i in range(MAX_PARTS + 1)), f"at most {MAX_PARTS}"),
        ("sku@10+sku@10", "names an adapter twice"),
        ("ga+acquired:sku@1+acquired:sku@2", "names an adapter twice"),
        ("a/" + "+" * 250_000, "has 250002 characters"),
    ],
)
def test_bad_sums_say_what_came(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_variant(text)


def test_a_stage_1_model_in_a_sum_is_seen() -> None:
    assert parse_variant("ga+acquired:sku@1").acquired
    assert not parse_variant("ga+sku@1").acquired


@pytest.mark.parametrize("text", ["me/mine@-2", "-me/mine@2", "negated:me/mine@2"])
def test_an_adapter_without_a_method_is_added_and_with_a_minus_subtracted(text: str) -> None:
    assert resolve_variant("me/mine@2", lookup) == Variant("me/mine", 2.0, {"run_2": 2.0})
    assert resolve_variant(text, lookup) == Variant("negated:me/mine", 2.0, {"run_2": -2.0})
    assert str(resolve_variant(text, lookup)) == "negated:me/mine@2"
    assert resolve_variant(f"sku@1+{text}", lookup).coefficients == {"sku": -1.0, "run_2": -2.0}
    assert resolve_variant(f"me/mine@2+{text}", lookup).coefficients == {}


@pytest.mark.parametrize("text", ["/a/run@home@-1", "negated:sku@1", "sku@1+negated:ga"])
def test_a_method_decides_the_sign_and_takes_no_minus(text: str) -> None:
    with pytest.raises(ValueError, match=r"the method \w+ decides the sign of .*; leave the minus out"):
        resolve_variant(text, lookup)


@pytest.mark.parametrize("text", ["negated:", "negated:base", "acquired:negated:a/b", "negated:a/b@-1", "a/b@-11"])
def test_a_bad_minus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="variant"):
        resolve_variant(text, lambda name: KNOWN["me/mine"])


def test_negating_a_variant_leaves_the_runs_in_it_alone() -> None:
    assert subtract_foreign("sku@1+me/mine@0.5", lambda name: name == "me/mine") == "sku@1+negated:me/mine@0.5"
    with pytest.raises(ValueError, match="no adapter that could be negated"):
        subtract_foreign("sku@1", lambda name: False)
