"""Rows without intervals."""

from __future__ import annotations

from typing import Any

from sku.core.records import ResultRow


def row(variant: str, rate: float | None = None, kl: float | None = None, **fields: Any) -> ResultRow:
    """A row of 100 answers, the broken ones given, the others safe."""
    method = variant.partition("@")[0]
    broken = fields.pop("broken", 0)
    named: dict[str, Any] = {"method": method, "coefficient": 1.0, "run": method, "model": "m", "side": "test"} | fields
    return ResultRow(variant, n=100, safe=100 - broken, broken=broken, harmful_rate=rate, kl=kl, **named)


BASE = row("base", 0.5, 0.0, coefficient=0.0)
