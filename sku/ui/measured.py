"""What was measured, for Trade-off: rows of the study and of the visitor as a table, a file and in sentences."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any, NamedTuple

from sku import results
from sku.figures.words import kind, line
from sku.front import UTILITIES, share, value
from sku.records import ResultRow
from sku.results import change
from sku.variants import BASE

YOURS = " (yours)"
ABSENT = "No study is recorded yet; <code>python -m sku study</code> makes it, and then its points are shown here."


class Rows(NamedTuple):
    """What there is to show."""

    study: list[ResultRow]
    own: list[ResultRow]
    faults: list[str]


def load(owner: str | None = None) -> Rows:
    """The recorded study and the visitor's own evaluations; a file that cannot be read hides no other."""
    own, faults = results.own(owner)
    try:
        return Rows(results.recorded(), own, faults)
    except (ValueError, OSError) as error:
        return Rows([], own, [str(error), *faults])


def cells(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> dict[str, Any]:
    """Headers and data of the table; what no row measured has no column, and shares are in percent."""
    marked = told_apart(study, own)
    columns: dict[str, list[Any]] = {
        "variant": [row.variant for row, _ in marked],
        "method": [kind(row) + mine for row, mine in marked],
        "seed": [row.seed for row, _ in marked],
        "steps": [row.steps for row, _ in marked],
        "harmful %": [_percent(row.harmful_rate) for row, _ in marked],
        "low %": [_percent(row.harmful_low) for row, _ in marked],
        "high %": [_percent(row.harmful_high) for row, _ in marked],
        "against base (95 %)": [change(row) or None for row, _ in marked],
        "broken %": [_percent(share(row.broken, row.n)) for row, _ in marked],
        "answers": [row.n for row, _ in marked],
        "unjudged": [row.unjudged for row, _ in marked],
    }
    for name, found in UTILITIES.items():
        numbers = [value(row, name) for row, _ in marked]
        if found.unit == "%":
            columns[f"{found.label} %"] = [_percent(number) for number in numbers]
        else:
            columns[", ".join(filter(None, (found.label, found.unit)))] = [n and float(f"{n:.4g}") for n in numbers]
    there = {name: column for name, column in columns.items() if any(one is not None for one in column)}
    return {"headers": list(there), "data": [list(row) for row in zip(*there.values(), strict=True)]}


def told_apart(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> list[tuple[ResultRow, str]]:
    """Every row with what is said behind its name: nothing for the study's, `YOURS` for the visitor's."""
    return [(row, "") for row in study] + [(row, YOURS) for row in own]


def wanted(rows: Sequence[ResultRow], side: str, kinds: Sequence[str]) -> list[ResultRow]:
    """The base first, then kind by kind along the coefficient."""
    found = [row for row in rows if row.side == side and (row.method == BASE or kind(row) in kinds)]
    return sorted(
        found, key=lambda row: (row.method != BASE, kind(row), row.seed or 0, row.steps or 0, row.run, row.coefficient)
    )


def download(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> str:
    """The table as a link that carries its own data: no file of a visitor's is left on the server."""
    marked = told_apart(study, own)
    if not marked:
        return ""
    frame = results.table([row for row, _ in marked]).assign(yours=[bool(mine) for _, mine in marked])
    data = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return f"<a class='button' download='trade-off.csv' href='data:text/csv;base64,{data}'>Download table (CSV)</a>"


def note(found: Rows, shown: Sequence[ResultRow], utility: str, side: str) -> str:
    """What is missing and why, in sentences."""
    said = [] if found.study else [ABSENT]
    if not shown and (found.study or found.own):
        said.append(f"Nothing of the methods chosen was measured on {side} prompts.")
    without = sum(row.harmful_rate is None or value(row, utility) is None for row in shown)
    if without:
        said.append(f"{without} of {len(shown)} rows are not drawn: {UTILITIES[utility].label} was not measured.")
    said += [f"<b>Not shown:</b> {html.escape(fault)}" for fault in found.faults]
    return "<br>".join(said)


def spoken(rows: Sequence[ResultRow], utility: str) -> str:
    """The figure for who cannot see it; the table beneath has every number."""
    label = UTILITIES[utility].label
    measured = [row for row in rows if row.harmful_rate is not None]
    lowest = min(measured, key=lambda row: row.harmful_rate or 0.0, default=None)
    best = f" The lowest harmful rate: {line(lowest, utility)}." if lowest else ""
    return f"Harmful rate against {label} of {len(rows)} variants; the table below has the numbers.{best}"


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 1)
