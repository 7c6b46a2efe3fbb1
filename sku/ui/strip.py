"""You are here: where the columns of Compare stand on the recorded harmful rates. Needs no model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache

from sku import results
from sku.figures.words import percent
from sku.records import ResultRow
from sku.signs import sign
from sku.variants import BASE, parse

_SIDE = "test"


def strip(variants: Sequence[str]) -> str:
    """A scale of harmful rates with a mark for every variant whose curve is recorded; between points it is a line's."""
    rows = [row for row in _recorded() if row.side == _SIDE and row.harmful_rate is not None]
    if not rows:
        return ""
    top = max(row.harmful_rate or 0.0 for row in rows) or 1.0
    marks, said = [], []
    for text in variants:
        spec = parse(text)
        mine = sorted((row for row in rows if row.run == spec.name), key=lambda row: row.coefficient)
        rate = _rate(mine, spec.coefficient or 0.0, rows)
        if rate is None:
            said.append(f"{text}: not recorded")
            continue
        look = sign(None if spec.name == BASE else mine[0].method, mine[0].preservation)
        place = min(rate / top, 1.0) * 100
        title = html.escape(f"{text}: harmful rate {percent(rate)} on recorded test prompts")
        marks.append(f"<span style='left:{place:.1f}%;color:{look.colour}' title='{title}'>{look.mark}</span>")
        said.append(f"{text} {percent(rate)}")
    words = html.escape(", ".join(said))
    scale = f"<div class='scale' role='img' aria-label='{words}'>{''.join(marks)}</div>"
    return f"<div class='strip'><span>you are here: harmful rate 0 %</span>{scale}<span>{percent(top)}</span></div>"


def _rate(mine: Sequence[ResultRow], coefficient: float, rows: Sequence[ResultRow]) -> float | None:
    """The recorded harmful rate at `coefficient`, on the line between its neighbours; None beyond what is recorded."""
    base = next((row for row in rows if row.method == BASE), None)
    points = {row.coefficient: row.harmful_rate or 0.0 for row in mine}
    if not mine or base is None:
        return None
    if mine[0].method == BASE:
        return base.harmful_rate
    points.setdefault(0.0, base.harmful_rate or 0.0)
    below = max((c for c in points if c <= coefficient), default=None)
    above = min((c for c in points if c >= coefficient), default=None)
    if below is None or above is None:
        return None
    if above == below:
        return points[below]
    return points[below] + (points[above] - points[below]) * (coefficient - below) / (above - below)


@cache
def _recorded() -> tuple[ResultRow, ...]:
    """Those that came with the project; they do not change while the page runs."""
    try:
        return tuple(results.recorded())
    except (ValueError, OSError):
        return ()
