"""The scale below the columns: marks the recorded harmful rate of each column's variant. It needs no model."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache

from sku.core.records import ResultRow
from sku.core.variants import parse_variant
from sku.models.pretrained import same_base
from sku.reporting import result_files
from sku.reporting.coefficient_lines import cost_axis, point_on_line
from sku.reporting.formatting import percent
from sku.reporting.markers import method_marker

_SIDE = "test"


def rate_scale_html(variants: Sequence[str], model: str | None = None) -> str:
    """A scale of harmful rates with a mark for every variant that was recorded on the base `model`; None: on any.

    Between two recorded coefficients the rate is interpolated linearly.
    """
    rows = [row for row in _recorded() if row.side == _SIDE and row.harmful_rate is not None]
    if not rows:
        return ""
    top = max(row.harmful_rate or 0.0 for row in rows) or 1.0
    marks, descriptions = [], []
    axis = cost_axis(rows, "kl")
    for text in variants:
        spec = parse_variant(text)
        point = point_on_line(text, rows, axis) if model is None or _same_base(rows[0].model, model) else None
        if point is None:
            descriptions.append(f"{text}: not recorded")
            continue
        rate = point[1]
        first = next(row for row in rows if row.run == "+".join(spec.names))
        marker = method_marker(None if spec.is_base else first.method, first.preservation)
        left = min(rate / top, 1.0) * 100
        title = html.escape(f"{text}: harmful rate {percent(rate)} on the recorded test prompts")
        marks.append(f"<span style='left:{left:.1f}%;color:{marker.colour}' title='{title}'>{marker.mark}</span>")
        descriptions.append(f"{text}: {percent(rate)}")
    label = html.escape(f"Recorded harmful rates: {', '.join(descriptions)}")
    scale = f"<div class='scale' role='img' aria-label='{label}'>{''.join(marks)}</div>"
    return f"<div class='strip'><span>recorded harmful rate: 0 %</span>{scale}<span>{percent(top)}</span></div>"


@cache
def _same_base(one: str, other: str) -> bool:
    """As `same_base`, which looks at the disk. A slider's tick must not."""
    return same_base(one, other)


@cache
def _recorded() -> tuple[ResultRow, ...]:
    """The rows that are shipped with the project. They do not change while the page runs."""
    try:
        return tuple(result_files.recorded_rows())
    except (ValueError, OSError):
        return ()
