"""When two rows of coefficients are the same model: equal after zeros are dropped. No torch."""

from __future__ import annotations

from collections.abc import Mapping

CoefficientKey = tuple[tuple[str, float], ...]
"""Nonzero signed coefficients by adapter name, sorted and hashable; the base is `()`."""


def nonzero_coefficients(coefficients: Mapping[str, float]) -> CoefficientKey:
    """A key that is equal for two rows exactly when they run the same model."""
    return tuple(sorted((name, value) for name, value in coefficients.items() if value))
