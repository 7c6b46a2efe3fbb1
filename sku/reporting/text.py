"""Result rows in words: one line to choose by, and all that was measured for a pointer that rests on a mark."""

from __future__ import annotations

import html

from sku.core.methods import METHODS
from sku.core.records import OUTCOMES, ResultRow
from sku.reporting.result_files import harmful_change_text, percent_interval
from sku.reporting.utilities import UTILITIES, share, utility_interval, utility_value


def percent(rate: float) -> str:
    """A share as a person reads it."""
    return f"{100 * rate:.0f} %"


def with_unit(number: float, unit: str) -> str:
    """A number with its unit."""
    if unit == "%":
        return percent(number)
    return f"{number:.3g} {unit}".strip()


def method_label(row: ResultRow) -> str:
    """Method and preservation: what shares a sign."""
    label = METHODS[row.method].label if row.method in METHODS else row.method
    return f"{label}, {row.preservation}" if row.preservation else label


def harmful_rate_text(row: ResultRow) -> str:
    """The harmful rate with its interval."""
    if row.harmful_rate is None:
        return "harmful rate unknown"
    return f"harmful {percent(row.harmful_rate)}" + percent_interval(row.harmful_low, row.harmful_high)


def row_line(row: ResultRow, utility: str) -> str:
    """A row as one line of a list: `sku@1: harmful 12 % (8 to 18), KL from base 0.09 nats a token, broken 1 %`."""
    parts = [harmful_rate_text(row)]
    number = utility_value(row, utility)
    if number is not None:
        parts.append(f"{UTILITIES[utility].label} {with_unit(number, UTILITIES[utility].unit)}")
    broken = share(row.broken, row.n)
    if broken is not None:
        parts.append(f"broken {percent(broken)}")
    return f"{row.variant}: {', '.join(parts)}"


def row_hover(row: ResultRow) -> str:
    """Everything measured of a row, for a hover box: lines of HTML without any of the row's own."""
    settings = [method_label(row)]
    if row.seed is not None:
        settings.append(f"seed {row.seed}")
    if row.steps is not None:
        settings.append(f"{row.steps} steps")
    counts = ", ".join(f"{name} {getattr(row, name)}" for name in OUTCOMES)
    broken = share(row.broken, row.n)
    lines = [
        ", ".join(settings),
        harmful_rate_text(row) + (f", broken {percent(broken)}" if broken is not None else ""),
        f"of {row.n} answers: {counts}",
    ]
    if harmful_change_text(row):
        lines.append(f"harmful rate against base's, prompt by prompt: {harmful_change_text(row)}")
    if row.answer_tokens is not None:
        lines.append(f"answers to harmful prompts: {row.answer_tokens:.0f} tokens long, a mean")
    for name, utility in UTILITIES.items():
        number = utility_value(row, name)
        if number is not None:
            low, high = utility_interval(row, name) or (None, None)
            between = percent_interval(low, high) if utility.unit == "%" else _interval(low, high)
            lines.append(f"{utility.label} {with_unit(number, utility.unit)}{between}")
    lines.append(f"{row.side} prompts" + (f", judge {row.judge}" if row.judge else ""))
    return "<br>".join([f"<b>{html.escape(row.variant)}</b>", *map(html.escape, lines)])


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
