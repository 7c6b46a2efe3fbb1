"""You are here: where the columns of Compare stand on the recorded harmful rates. Needs no model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache

from sku.core.records import ResultRow
from sku.core.variants import parse_variant
from sku.reporting import result_files
from sku.reporting.coefficient_lines import cost_axis, point_on_line
from sku.reporting.formatting import percent
from sku.reporting.markers import method_marker

_SIDE = "test"


def rate_scale_html(variants: Sequence[str]) -> str:
    """A scale of harmful rates with a mark for every variant whose curve is recorded; between points it is a line's."""
    rows = [row for row in _recorded() if row.side == _SIDE and row.harmful_rate is not None]
    if not rows:
        return ""
    top = max(row.harmful_rate or 0.0 for row in rows) or 1.0
    marks, said = [], []
    by = cost_axis(rows, "kl")
    for text in variants:
        spec = parse_variant(text)
        place = point_on_line(text, rows, by)
        if place is None:
            said.append(f"{text}: not recorded")
            continue
        rate = place[1]
        first = next(row for row in rows if row.run == "+".join(spec.names))
        look = method_marker(None if spec.is_base else first.method, first.preservation)
        percentage = min(rate / top, 1.0) * 100
        title = html.escape(f"{text}: harmful rate {percent(rate)} on recorded test prompts")
        marks.append(f"<span style='left:{percentage:.1f}%;color:{look.colour}' title='{title}'>{look.mark}</span>")
        said.append(f"{text} {percent(rate)}")
    words = html.escape(", ".join(said))
    scale = f"<div class='scale' role='img' aria-label='{words}'>{''.join(marks)}</div>"
    return f"<div class='strip'><span>you are here: harmful rate 0 %</span>{scale}<span>{percent(top)}</span></div>"


@cache
def _recorded() -> tuple[ResultRow, ...]:
    """Those that came with the project; they do not change while the page runs."""
    try:
        return tuple(result_files.recorded_rows())
    except (ValueError, OSError):
        return ()
