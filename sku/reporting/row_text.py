"""Result rows as text: one line for a list of choices, a table for a terminal, and all measurements for a hover box."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sku.core.methods import METHODS
from sku.core.records import OUTCOMES, ResultRow
from sku.reporting import formatting
from sku.reporting.utilities import UTILITIES, share, utility_interval, utility_value


def method_label(row: ResultRow) -> str:
    """The method and its preservation. Rows with the same label share a mark in the plot."""
    label = METHODS[row.method].label if row.method in METHODS else row.method
    return f"{label}, {row.preservation}" if row.preservation else label


def harmful_rate_text(row: ResultRow) -> str:
    """The harmful rate with its interval."""
    if row.harmful_rate is None:
        return "harmful rate unknown"
    return f"harmful {harmful_rate_cell(row)}"


def harmful_rate_cell(row: ResultRow) -> str:
    """The harmful rate with its interval, for a table; a dash if it is unknown."""
    return formatting.percent_with_interval(row.harmful_rate, row.harmful_low, row.harmful_high)


def over_refusal_text(row: ResultRow) -> str:
    """The share of harmless prompts that are refused, with Wilson's interval; a dash if it is unknown."""
    low, high = utility_interval(row, "over_refusal") or (None, None)
    return formatting.percent_with_interval(row.over_refusal, low, high)


def harmful_change_text(row: ResultRow) -> str:
    """The harmful rate minus the base's on the same prompts, in points, with its interval; a dash if it is unknown."""
    return formatting.points(row.harmful_change, row.harmful_change_low, row.harmful_change_high)


def row_line(row: ResultRow, utility: str) -> str:
    """A row as one line of a list: `sku@1: harmful 12 % (8 to 18), KL from base 0.09 nats per token, broken 1 %`."""
    parts = [harmful_rate_text(row)]
    number = utility_value(row, utility)
    if number is not None:
        parts.append(f"{UTILITIES[utility].label} {formatting.with_unit(number, UTILITIES[utility].unit)}")
    broken = share(row.broken, row.n)
    if broken is not None:
        parts.append(f"broken {formatting.percent(broken)}")
    if row.off_topic is not None:
        parts.append(f"off-topic {formatting.percent(share(row.off_topic, row.n))}")
    return f"{row.variant}: {', '.join(parts)}"


def row_hover(row: ResultRow) -> str:
    """All measurements of a row as lines of HTML, for a hover box. Text from the row is escaped."""
    lines = [_training_text(row), _rate_and_broken(row), _counts_text(row)]
    if row.harmful_change is not None:
        lines.append(f"change of the harmful rate from base, on the same prompts: {harmful_change_text(row)}")
    if row.answer_tokens is not None:
        lines.append(f"mean length of answers to harmful prompts: {row.answer_tokens:.0f} tokens")
    lines += [_utility_text(row, name) for name in UTILITIES if utility_value(row, name) is not None]
    lines.append(f"{row.side} prompts" + (f", judge {row.judge}" if row.judge else ""))
    return "<br>".join([f"<b>{html.escape(row.variant)}</b>", *map(html.escape, lines)])


def _training_text(row: ResultRow) -> str:
    seed = [] if row.seed is None else [f"seed {row.seed}"]
    steps = [] if row.steps is None else [f"{row.steps} steps"]
    return ", ".join([method_label(row), *seed, *steps])


def _rate_and_broken(row: ResultRow) -> str:
    damaged = {"broken": share(row.broken, row.n), "off-topic": share(row.off_topic, row.n)}
    known = [f"{name} {formatting.percent(rate)}" for name, rate in damaged.items() if rate is not None]
    return ", ".join([harmful_rate_text(row), *known])


def _counts_text(row: ResultRow) -> str:
    counts = [f"{name} {row.count(name)}" for name in OUTCOMES if row.count(name) is not None]
    return f"of {row.n} answers: {', '.join(counts)}"


def _utility_text(row: ResultRow, name: str) -> str:
    low, high = utility_interval(row, name) or (None, None)
    utility = UTILITIES[name]
    return f"{utility.label} {formatting.with_interval(utility_value(row, name), low, high, utility.unit)}"


def rows_as_text(rows: Sequence[ResultRow]) -> str:
    """The rows as a table for a terminal. A dash means unknown."""
    headers = (
        "variant",
        "harmful (95 %)",
        "change from base (95 %)",
        "broken",
        "off-topic",
        "unjudged",
        "KL",
        "perplexity",
        "over-refusal (95 %)",
        "tokens",
    )
    cells = [headers, *map(_terminal_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _terminal_cells(row: ResultRow) -> tuple[str, ...]:
    return (
        row.variant,
        harmful_rate_cell(row),
        harmful_change_text(row),
        formatting.percent(share(row.broken, row.n)),
        formatting.percent(share(row.off_topic, row.n)),
        f"{row.unjudged} of {row.n}",
        formatting.with_unit(row.kl),
        formatting.with_unit(row.perplexity),
        over_refusal_text(row),
        formatting.fixed(row.answer_tokens, 0),
    )
