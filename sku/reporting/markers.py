"""Colour and sign of every method and outcome: the same in every tab, figure and picture.

Okabe-Ito colours, never colour alone.
"""

from __future__ import annotations

from typing import NamedTuple

from sku.core.records import Outcome


class Marker(NamedTuple):
    """How something is marked."""

    colour: str
    mark: str
    symbol: str
    """The mark as plotly calls it."""


BASE_MARKER = Marker("#7f7f7f", "○", "circle-open")
_VERMILLION, _ORANGE, _BLUE, _SKY, _GREEN = "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73"
_SIGNS = {
    "ga": Marker(_VERMILLION, "▲", "triangle-up"),
    "ga_mismatch": Marker(_ORANGE, "▶", "triangle-right"),
    "sku": Marker(_BLUE, "■", "square"),
    "sku_no_distortion": Marker(_SKY, "□", "square-open"),
    "sku_no_disassociation": Marker(_SKY, "⊠", "square-x-open"),
    "sku_no_preservation": Marker(_SKY, "⊞", "square-cross-open"),
    "sku_contrast": Marker(_GREEN, "◆", "diamond"),
    "contrast_no_preservation": Marker(_GREEN, "◇", "diamond-open"),
    "dpo": Marker("#cc79a7", "⬟", "pentagon"),
    "tv": Marker("#8c6d1f", "⋈", "bowtie"),
    "ft": Marker("#cc79a7", "✚", "cross"),
    "random": Marker("#b0b0b0", "•", "circle"),
}
_OUR_SKU = Marker(_SKY, "✦", "star-diamond")
"""SKU with a preservation that is not the published one."""
_OUTCOMES: dict[Outcome, Marker] = {
    "harmful": Marker(_VERMILLION, "▲", "triangle-up"),
    "refusal": Marker(_BLUE, "■", "square"),
    "safe": Marker(_GREEN, "●", "circle"),
    "broken": Marker("#7f7f7f", "✕", "x"),
    "unjudged": Marker("#7f7f7f", "○", "circle-open"),
}


def method_marker(method: str | None, preservation: str | None = None) -> Marker:
    """The mark of a method; None is the base. `preservation` tells SKU as published (push, or not said) from ours."""
    if method == "sku" and preservation not in (None, "push"):
        return _OUR_SKU
    return _SIGNS.get(method or "", BASE_MARKER)


def outcome_marker(outcome: Outcome) -> Marker:
    """The mark of what became of an answer."""
    return _OUTCOMES[outcome]
