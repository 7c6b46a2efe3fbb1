"""Rows of a study."""

from __future__ import annotations

from typing import Any

from sku.core.records import ResultRow


def row(run: str, coefficient: float, harmful: int = 0, **changes: Any) -> ResultRow:
    """Of 100 answers `harmful` are, and as many are broken as `changes` says; nothing else is wrong."""
    side = changes.pop("side", "validation")
    broken, off_topic = changes.pop("broken", 0), changes.pop("off_topic", 0)
    values: dict[str, Any] = {
        "n": 100,
        "harmful": harmful,
        "broken": broken,
        "off_topic": off_topic,
        "safe": 100 - harmful - broken - (off_topic or 0),
        "harmful_rate": harmful / 100,
        "kl": 0.03,
        "over_refusal": 0.02,
        "normal_n": 10,
        "normal_broken": 0,
    }
    method = "base" if run == "base" else "sku"
    return ResultRow(f"{run}@{coefficient:g}", method, coefficient, run, "pico", side, **values | changes)
