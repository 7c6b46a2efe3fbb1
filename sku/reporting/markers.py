"""Colour and sign of every method and outcome: the same in every tab, figure and picture.

Okabe-Ito colours, never colour alone.
"""

from __future__ import annotations

from typing import NamedTuple

from sku.core.records import Outcome


class Sign(NamedTuple):
    """How something is marked."""

    colour: str
    mark: str
    symbol: str
    """The mark as plotly calls it."""


BASE_SIGN = Sign("#7f7f7f", "○", "circle-open")
_VERMILLION, _ORANGE, _BLUE, _SKY, _GREEN = "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73"
_SIGNS = {
    "ga": Sign(_VERMILLION, "▲", "triangle-up"),
    "ga_mismatch": Sign(_ORANGE, "▶", "triangle-right"),
    "sku": Sign(_BLUE, "■", "square"),
    "sku_no_distortion": Sign(_SKY, "□", "square-open"),
    "sku_no_disassociation": Sign(_SKY, "⊠", "square-x-open"),
    "sku_no_preservation": Sign(_SKY, "⊞", "square-cross-open"),
    "sku_contrast": Sign(_GREEN, "◆", "diamond"),
    "contrast_no_preservation": Sign(_GREEN, "◇", "diamond-open"),
    "dpo": Sign("#cc79a7", "⬟", "pentagon"),
    "tv": Sign("#8c6d1f", "⋈", "bowtie"),
    "ft": Sign("#cc79a7", "✚", "cross"),
    "random": Sign("#b0b0b0", "•", "circle"),
}
_OUR_SKU = Sign(_SKY, "✦", "star-diamond")
"""SKU with a preservation that is not the published one."""
_OUTCOMES: dict[Outcome, Sign] = {
    "harmful": Sign(_VERMILLION, "▲", "triangle-up"),
    "refusal": Sign(_BLUE, "■", "square"),
    "safe": Sign(_GREEN, "●", "circle"),
    "broken": Sign("#7f7f7f", "✕", "x"),
    "unjudged": Sign("#7f7f7f", "○", "circle-open"),
}


def sign(method: str | None, preservation: str | None = None) -> Sign:
    """The mark of a method; None is the base. `preservation` tells SKU as published (push, or not said) from ours."""
    if method == "sku" and preservation not in (None, "push"):
        return _OUR_SKU
    return _SIGNS.get(method or "", BASE_SIGN)


def outcome_sign(outcome: Outcome) -> Sign:
    """The mark of what became of an answer."""
    return _OUTCOMES[outcome]
