"""Figures are functions of a table."""

from __future__ import annotations

from sku.figures import _TERMS, loss_curves
from sku.methods import TERMS


def test_a_line_a_term_with_the_logged_values() -> None:
    lines = [{"step": step, "terms": {"distortion": 4.0 / step, "preservation": 0.1 * step}} for step in (1, 2, 4)]
    figure = loss_curves(lines)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("distortion", [1, 2, 4], [4.0, 2.0, 1.0]),
        ("preservation", [1, 2, 4], [0.1, 0.2, 0.4]),
    ]


def test_terms_of_one_method_never_share_colour_and_dash() -> None:
    from sku.methods import METHODS

    assert set(_TERMS) == set(TERMS)
    for method in METHODS.values():
        assert len({_TERMS[name] for name in method.terms}) == len(method.terms)


def test_no_steps_yet_is_an_empty_figure() -> None:
    assert not loss_curves([]).data
