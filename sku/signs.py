"""Colour and sign of every method: the same in every tab, figure and picture. Okabe-Ito colours, never colour alone."""

from __future__ import annotations

from typing import NamedTuple


class Sign(NamedTuple):
    """How a variant is marked."""

    colour: str
    mark: str


BASE_SIGN = Sign("#7f7f7f", "○")
_SIGNS = {
    "ga": Sign("#d55e00", "▲"),
    "ga_mismatch": Sign("#e69f00", "▲"),
    "sku": Sign("#0072b2", "■"),
    "sku_no_distortion": Sign("#56b4e9", "□"),
    "sku_no_disassociation": Sign("#56b4e9", "◧"),
    "sku_no_preservation": Sign("#56b4e9", "◨"),
    "tv": Sign("#8c6d1f", "✕"),
    "ft": Sign("#cc79a7", "✚"),
    "random": Sign("#b0b0b0", "•"),
}


def sign(method: str | None) -> Sign:
    """The mark of a method; None is the base."""
    return _SIGNS.get(method or "", BASE_SIGN)
