"""The trainings of the study as a Markdown table, for `assets/docs/study.md`."""

from __future__ import annotations

from typing import Any

from sku.reporting.markdown_tables import markdown_table
from sku.study.grid import GRID, GridEntry


def grid_table() -> str:
    """A table of all trainings: method, settings that differ from the common ones, and measured coefficients."""
    rows = ([f"`{name}`", f"`{entry.method}`", _settings(entry), _coefficients(entry)] for name, entry in GRID.items())
    return markdown_table(["training", "method", "settings of its own", "coefficients"], rows)


def _settings(entry: GridEntry) -> str:
    parts = [f"{name.replace('_', ' ')} {_value(value)}" for name, value in entry.settings.items()]
    return "; ".join(parts) or "none"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(number)}" for name, number in value.items())
    if isinstance(value, tuple):
        return " + ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else "all" if value is None else str(value)


def _coefficients(entry: GridEntry) -> str:
    return ", ".join(f"{coefficient:g}" for coefficient in entry.coefficients)
