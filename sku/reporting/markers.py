"""The colour and mark of every method and outcome. They are the same in every tab and figure.

The marks of methods are defined in `core/methods.py`. Colours are Okabe-Ito's, and a mark always goes with them.
"""

from __future__ import annotations

from sku.core.methods import FOREIGN, FOREIGN_METHOD, METHODS, Marker
from sku.core.records import Outcome
from sku.core.terms import BLUE, GREEN, SKY, VERMILLION
from sku.core.variants import REMOTE, SUM

BASE_MARKER = Marker("#7f7f7f", "○", "circle-open")
_SUM = Marker(SKY, "⬢", "hexagon")
"""The mark of a sum of several adapters."""
_REMOTE = Marker("#000000", "⌂", "hourglass")
"""The mark of a model behind a server."""
_OUTCOMES: dict[Outcome, Marker] = {
    "harmful": Marker(VERMILLION, "▲", "triangle-up"),
    "refusal": Marker(BLUE, "■", "square"),
    "safe": Marker(GREEN, "●", "circle"),
    "off-topic": Marker("#9a6700", "?", "diamond"),
    "broken": Marker("#7f7f7f", "✕", "x"),
    "unjudged": Marker("#7f7f7f", "○", "circle-open"),
}


def method_marker(method: str | None, preservation: str | None = None) -> Marker:
    """The mark of a method, or of the base for None.

    A method may have a second mark for runs whose preservation is not the published one (`push`, or unknown).
    """
    if method == SUM:
        return _SUM
    if method == REMOTE:
        return _REMOTE
    known = FOREIGN_METHOD if method == FOREIGN else METHODS.get(method or "")
    if known is None:
        return BASE_MARKER
    published = preservation in (None, "push")
    return known.marker if published else known.unpublished_marker or known.marker


def outcome_marker(outcome: Outcome) -> Marker:
    """The mark of an outcome."""
    return _OUTCOMES[outcome]
