"""Methods, terms and outcomes are told apart, and not by colour alone."""

from __future__ import annotations

from sku.core.methods import METHODS
from sku.core.records import OUTCOMES
from sku.core.terms import TERMS
from sku.reporting.markers import method_marker, outcome_marker


def test_terms_of_one_method_never_share_colour_and_dash() -> None:
    for method in METHODS.values():
        assert len({TERMS[name].style for name in method.terms}) == len(method.terms)


def test_no_two_methods_share_a_sign() -> None:
    kinds = [(name, None) for name in METHODS] + [("sku", "keep"), (None, None)]
    for at in (1, 2):
        assert len({(method_marker(*kind).colour, method_marker(*kind)[at]) for kind in kinds}) == len(kinds)
    assert method_marker("sku", "push") == method_marker("sku")
    assert len({outcome_marker(outcome).mark for outcome in OUTCOMES}) == len(OUTCOMES)


def test_no_two_methods_are_told_apart_by_colour_alone() -> None:
    signs = [method_marker(name) for name in METHODS] + [method_marker("sku", "keep")]
    for shapes in ([one.mark for one in signs], [one.symbol for one in signs]):
        assert len(set(shapes)) == len(shapes)
