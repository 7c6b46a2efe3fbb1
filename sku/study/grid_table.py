"""The trainings of the study as a Markdown table, for `assets/docs/study.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sku.reporting.markdown_tables import markdown_table
from sku.study.grid import GRID, GridEntry


def grid_table() -> str:
    """A table of all trainings: method, settings that differ from the common ones, and measured coefficients.

    The settings of a tuned method share a line.
    """
    groups: dict[str, list[GridEntry]] = {}
    for name, entry in GRID.items():
        groups.setdefault(f"{entry.tuned}-*" if entry.tuned else name, []).append(entry)
    rows = ([f"`{name}`", f"`{group[0].method}`", *_cells(group)] for name, group in groups.items())
    return markdown_table(["training", "method", "settings of its own", "coefficients"], rows)


def _cells(group: Sequence[GridEntry]) -> list[str]:
    """The settings of some trainings, where they differ with "or" between them, and their coefficients."""
    values: dict[str, dict[str, None]] = {}
    for entry in group:
        for name, value in entry.settings.items():
            values.setdefault(name, {})[_text(value)] = None
    settings = [f"{name.replace('_', ' ')} {' or '.join(texts)}" for name, texts in values.items()]
    return ["; ".join(settings) or "none", ", ".join(f"{coefficient:g}" for coefficient in group[0].coefficients)]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(number)}" for name, number in value.items())
    if isinstance(value, tuple):
        return " + ".join(map(_text, value))
    return f"{value:.2g}" if isinstance(value, float) else "all" if value is None else str(value)
