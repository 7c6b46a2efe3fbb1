"""Rows with intervals, and a trace of a figure by its name."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from sku.core.records import ResultRow


def row(variant: str, rate: float | None, kl: float | None, **fields: Any) -> ResultRow:
    """A row of 100 answers; `rate` has an interval of 0.05 to either side."""
    name, _, coefficient = variant.partition("@")
    broken, low, high = fields.pop("broken", 0), None, None
    if rate is not None:
        low, high = rate - 0.05, rate + 0.05
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {"side": "test", "kl": kl, "n": 100, "safe": 100 - broken, "broken": broken} | fields
    return ResultRow(variant, harmful_rate=rate, harmful_low=low, harmful_high=high, **named)


BASE = row("base", 0.5, 0.0)
SKU = [row("sku@1", 0.3, 0.1, preservation="keep"), row("sku@2", 0.1, 0.4, preservation="keep")]


def named(figure: go.Figure, name: str, mode: str = "markers") -> Any:
    (found,) = [trace for trace in figure.data if (trace.name or "").startswith(name) and trace.mode == mode]
    return found
