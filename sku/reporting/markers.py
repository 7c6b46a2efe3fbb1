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
_OUTCOMES: dict[Outcome, Marker] = {
    "harmful": Marker(VERMILLION, "▲", "triangle-up"),
    "refusal": Marker(BLUE, "■", "square"),
    "safe": Marker(GREEN, "●", "circle"),
    "broken": Marker("#7f7f7f", "✕", "x"),
    "unjudged": Marker("#7f7f7f", "○", "circle-open"),
}


def method_marker(method: str | None, preservation: str | None = None) -> Marker:
    """The mark of a method; None is the base. `preservation` tells SKU as published (push, or not said) from ours."""
    if method == SUM:
        return _SUM
    found = METHODS.get(method or "")
    if found is None:
        return BASE_MARKER
    published = preservation in (None, "push")
    return found.marker if published else found.unpublished_marker or found.marker


def outcome_marker(outcome: Outcome) -> Marker:
    """The mark of what became of an answer."""
    return _OUTCOMES[outcome]
