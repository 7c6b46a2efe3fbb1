"""The table of methods: which vector is subtracted, and which terms make it."""

from __future__ import annotations

import pytest

from sku.core.methods import METHODS, SKU_PAPER, UNMEASURED, Marker, Method, _ablation, find_method


def test_sku_is_negated_and_ga_is_not() -> None:
    assert METHODS["sku"].negated
    assert METHODS["tv"].negated
    assert not METHODS["ga"].negated


def test_each_ablation_lacks_one_term() -> None:
    whole = METHODS["sku"].terms
    for term in whole:
        assert METHODS[f"sku_no_{term}"].terms == {name: w for name, w in whole.items() if name != term}


def test_an_ablation_is_a_record_like_any_other() -> None:
    marker = Marker("#000000", "x", "x")
    assert _ablation("distortion", marker) == Method(
        "SKU without distortion",
        {"disassociation": 2.5, "preservation": 1.0},
        True,
        SKU_PAPER,
        "our correction",
        "Ablation: sku without distortion.",
        marker,
    )


def test_an_unknown_term_or_method_is_named() -> None:
    with pytest.raises(ValueError, match="unknown terms"):
        Method("x", {"magic": 1.0}, True, "", "ours", "", Marker("#000000", "x", "x"))
    with pytest.raises(ValueError, match="choose one of sku"):
        find_method("magic")


@pytest.mark.parametrize("name", METHODS)
def test_a_note_fits_into_a_table_and_says_whether_its_settings_were_measured(name: str) -> None:
    method = METHODS[name]
    assert not {"|", "\n"} & set(method.note + method.label + method.paper)
    assert method.settings is not UNMEASURED or "Settings are unmeasured." in method.note
