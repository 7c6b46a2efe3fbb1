"""Colour and mark of every method and outcome: the same in every tab, figure and picture.

Methods bring theirs (`core/methods.py`). Okabe-Ito colours, never colour alone.
"""

from __future__ import annotations

from sku.core.methods import BLUE, GREEN, METHODS, SKY, VERMILLION, Marker
from sku.core.records import Outcome
from sku.core.variants import SUM

BASE_MARKER = Marker("#7f7f7f", "○", "circle-open")
_SUM = Marker(SKY, "⬢", "hexagon")
"""Several adapters added up."""
_OUR_SKU = Marker(SKY, "✦", "star-diamond")
"""SKU with a preservation that is not the published one."""
_OUTCOMES: dict[Outcome, Marker] = {
    "harmful": Marker(VERMILLION, "▲", "triangle-up"),
    "refusal": Marker(BLUE, "■", "square"),
    "safe": Marker(GREEN, "●", "circle"),
    "broken": Marker("#7f7f7f", "✕", "x"),
    "unjudged": Marker("#7f7f7f", "○", "circle-open"),
}


def method_marker(method: str | None, preservation: str | None = None) -> Marker:
    """The mark of a method; None is the base. `preservation` tells SKU as published (push, or not said) from ours."""
    if method == "sku" and preservation not in (None, "push"):
        return _OUR_SKU
    if method == SUM:
        return _SUM
    return METHODS[method].marker if method in METHODS else BASE_MARKER


def outcome_marker(outcome: Outcome) -> Marker:
    """The mark of what became of an answer."""
    return _OUTCOMES[outcome]
