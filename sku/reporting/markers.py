"""The colour and mark of every method and outcome. They are the same in every tab and figure.

The marks of methods are defined in `core/methods.py`. Colours are Okabe-Ito's, and a mark always goes with them.
"""

from __future__ import annotations

from sku.core.methods import BLUE, GREEN, METHODS, SKY, VERMILLION, Marker
from sku.core.records import Outcome
from sku.core.variants import SUM

BASE_MARKER = Marker("#7f7f7f", "○", "circle-open")
_SUM = Marker(SKY, "⬢", "hexagon")
"""The mark of a sum of several adapters."""
_OUR_SKU = Marker(SKY, "✦", "star-diamond")
"""The mark of SKU with another preservation than the published one."""
_OUTCOMES: dict[Outcome, Marker] = {
    "harmful": Marker(VERMILLION, "▲", "triangle-up"),
    "refusal": Marker(BLUE, "■", "square"),
    "safe": Marker(GREEN, "●", "circle"),
    "broken": Marker("#7f7f7f", "✕", "x"),
    "unjudged": Marker("#7f7f7f", "○", "circle-open"),
}


def method_marker(method: str | None, preservation: str | None = None) -> Marker:
    """The mark of a method, or of the base for None.

    SKU as published (preservation `push`, or unknown) has another mark than SKU with our preservation.
    """
    if method == "sku" and preservation not in (None, "push"):
        return _OUR_SKU
    if method == SUM:
        return _SUM
    return METHODS[method].marker if method in METHODS else BASE_MARKER


def outcome_marker(outcome: Outcome) -> Marker:
    """The mark of an outcome."""
    return _OUTCOMES[outcome]
