"""The tuned methods of the study as Markdown tables, for `assets/docs/study.md`."""

from __future__ import annotations

from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting import result_files
from sku.reporting.markdown_tables import COLUMNS, markdown_table
from sku.study.grid import TUNED
from sku.study.selection import is_within_limits

_COLUMNS = [COLUMNS[name] for name in ("harmful", "refused", "useless", "over_refusal", "kl_interval")]
_HEADERS = [column.header for column in _COLUMNS]


def chosen_table(side: str) -> str:
    """The chosen setting of every tuned method on one set of prompts, the least harmful first; the base on top.

    Args:
        side: the set of prompts, such as `test`.
    """
    base, rows = _recorded(side)
    ordered = sorted(rows, key=lambda row: (row.harmful_rate or 0.0, row.kl or 0.0))
    lines = ([f"`{row.method}`", f"`{row.variant}`", *_measured(row)] for row in ordered)
    return markdown_table(["method", "setting", *_HEADERS], [["none", "`base`", *_measured(base)], *lines])


def settings_table(side: str) -> str:
    """Every measured setting of the tuned methods on one set of prompts, and whether it keeps all limits of the rule.

    Args:
        side: the set of prompts, such as `validation`.
    """
    base, rows = _recorded(side)
    lines = ([f"`{row.variant}`", *_measured(row), "yes" if is_within_limits(row, base) else "no"] for row in rows)
    return markdown_table(["setting", *_HEADERS, "keeps the limits"], lines)


def _recorded(side: str) -> tuple[ResultRow, list[ResultRow]]:
    """The base's row, and those of the tuned methods in the order of the study."""
    rows = [row for row in result_files.recorded_rows() if row.side == side]
    return next(row for row in rows if row.method == BASE), [row for row in rows if row.run in TUNED]


def _measured(row: ResultRow) -> list[str]:
    return [column.cell(row) for column in _COLUMNS]
