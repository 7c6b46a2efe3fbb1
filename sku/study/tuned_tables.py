"""The tuned methods of the study as Markdown tables, for `assets/docs/study.md`."""

from __future__ import annotations

from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting import result_files
from sku.reporting.formatting import percent, with_interval
from sku.reporting.markdown_tables import markdown_table
from sku.reporting.row_text import harmful_rate_cell, over_refusal_text
from sku.reporting.utilities import share
from sku.study.grid import TUNED
from sku.study.selection import is_within_limits

_MEASURED = [
    "harmful (95 %)",
    "refused",
    "broken or off-topic",
    "over-refusal (95 %)",
    "KL from base (95 %), nats per token",
]


def chosen_table(side: str) -> str:
    """The chosen setting of every tuned method on one set of prompts, the least harmful first; the base on top.

    Args:
        side: the set of prompts, such as `test`.
    """
    base, rows = _recorded(side)
    ordered = sorted(rows, key=lambda row: (row.harmful_rate or 0.0, row.kl or 0.0))
    lines = ([f"`{row.method}`", f"`{row.variant}`", *_measured(row)] for row in ordered)
    return markdown_table(["method", "setting", *_MEASURED], [["none", "`base`", *_measured(base)], *lines])


def settings_table(side: str) -> str:
    """Every measured setting of the tuned methods on one set of prompts, and whether it keeps all limits of the rule.

    Args:
        side: the set of prompts, such as `validation`.
    """
    base, rows = _recorded(side)
    lines = ([f"`{row.variant}`", *_measured(row), "yes" if is_within_limits(row, base) else "no"] for row in rows)
    return markdown_table(["setting", *_MEASURED, "keeps the limits"], lines)


def _recorded(side: str) -> tuple[ResultRow, list[ResultRow]]:
    """The base's row, and those of the tuned methods in the order of the study."""
    rows = [row for row in result_files.recorded_rows() if row.side == side]
    return next(row for row in rows if row.method == BASE), [row for row in rows if row.run in TUNED]


def _measured(row: ResultRow) -> list[str]:
    useless = share((row.broken or 0) + (row.off_topic or 0), row.n)
    return [
        harmful_rate_cell(row),
        percent(share(row.refusal, row.n)),
        percent(useless),
        over_refusal_text(row),
        with_interval(row.kl, row.kl_low, row.kl_high),
    ]
