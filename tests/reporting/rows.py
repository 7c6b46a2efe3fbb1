"""Rows without intervals."""

from __future__ import annotations

from typing import Any

from sku.core.intervals import wilson
from sku.core.records import ResultRow


def row(variant: str, rate: float | None = None, kl: float | None = None, **fields: Any) -> ResultRow:
    """A row of 100 answers, the broken ones given, the others safe."""
    method = variant.partition("@")[0]
    broken = fields.pop("broken", 0)
    named: dict[str, Any] = {"method": method, "coefficient": 1.0, "run": method, "model": "m", "side": "test"} | fields
    return ResultRow(variant, n=100, safe=100 - broken, broken=broken, harmful_rate=rate, kl=kl, **named)


BASE = row("base", 0.5, 0.0, coefficient=0.0)


def attacked(variant: str, attack: str | None, harmful: int, recovery: float | None = None, **fields: Any) -> ResultRow:
    """A row of 20 answers under attack, all judged; those not harmful are safe but for the broken ones given.

    The recovery, if there is one, has an interval of 0.2 to either side.
    """
    name, _, coefficient = variant.partition("@")
    broken = fields.pop("broken", 0)
    rate = wilson(harmful, 20)
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {
        "side": "test",
        "n": 20,
        "harmful": harmful,
        "broken": broken,
        "safe": 20 - harmful - broken - fields.get("off_topic", 0),
    }
    named |= {"harmful_rate": rate.rate, "harmful_low": rate.low, "harmful_high": rate.high}
    if recovery is not None:
        named |= {"recovery": recovery, "recovery_low": recovery - 0.2, "recovery_high": recovery + 0.2}
    return ResultRow(variant, attack=attack, **named | fields)


def worst(variant: str, harmful: float, *attacks: str, **fields: Any) -> ResultRow:
    """The worst case over `attacks`."""
    name, _, coefficient = variant.partition("@")
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {"any_harmful": harmful, "any_harmful_low": harmful / 2, "any_harmful_high": 1.0}
    return ResultRow(variant, side="test", attack="any", attack_details={"attacks": list(attacks)}, **named | fields)


ATTACKED = [
    attacked("base", "none", 10),
    attacked("base", "int4", 10),
    attacked("base", "prefill-10", 14),
    worst("base", 0.8, "int4", "prefill-10"),
    attacked("ga@1", "none", 1, broken=3),
    attacked("ga@1", "int4", 10, 1.0),
    attacked("ga@1", "prefill-10", 4, 0.23),
    worst("ga@1", 0.5, "int4", "prefill-10", recovery=0.7),
    attacked("sku@2", "none", 2),
    attacked("sku@2", "int4", 5, 0.35, off_topic=2),
    attacked("sku@2", "prefill-10", 12, 0.8),
    worst("sku@2", 0.6, "int4", "prefill-10", recovery=0.75),
    attacked("random-like-ga-1@1", "none", 10, method="random"),
    attacked("random-like-ga-1@1", "int4", 10, method="random"),
]
"""Three variants and the control under two attacks."""
