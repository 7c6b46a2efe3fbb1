"""What was measured, for Trade-off: rows of the study and of the visitor as a table, a file and in sentences."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.reporting import result_files
from sku.reporting.formatting import percent_number, percent_range
from sku.reporting.pareto import base_row
from sku.reporting.text import harmful_change_text, method_label, row_line
from sku.reporting.utilities import UTILITIES, share, utility_interval, utility_value

OWN_SUFFIX = " (yours)"
NO_STUDY = "No study is recorded yet; <code>python -m sku study</code> makes it, and then its points are shown here."


class MeasuredRows(NamedTuple):
    """What there is to show."""

    study: list[ResultRow]
    own: list[ResultRow]
    faults: list[str]

    def boxes(self) -> dict[str, ResultRow]:
        """What can be shown or hidden, each with one of its rows: trainings of one sign have boxes of their own."""
        box = self._box()
        return {box(row): row for row in (*self.study, *self.own) if row.method != BASE}

    def shown(self, side: str, boxes: Sequence[str]) -> tuple[list[ResultRow], list[ResultRow]]:
        """Of the study and of the visitor: the base first, then kind by kind along the coefficient."""
        box = self._box()

        def wanted(rows: Sequence[ResultRow]) -> list[ResultRow]:
            found = [row for row in rows if row.side == side and (row.method == BASE or box(row) in boxes)]
            return sorted(found, key=_order)

        return wanted(self.study), wanted(self.own)

    def _box(self) -> Callable[[ResultRow], str]:
        """Names the box of a row; the seeds of a training, and points along it, share one."""
        form = result_files.shipped_form(result_files.RECORDED_STUDY.parent)
        alike: dict[str, set[str]] = {}
        for row in self.study:
            alike.setdefault(method_label(row), set()).add(_training_name(row, form))

        def box(row: ResultRow) -> str:
            name, others = _training_name(row, form), alike.get(method_label(row), set())
            return f"{method_label(row)} ({name})" if len(others) > 1 and name in others else method_label(row)

        return box


def load_measured(owner: str | None = None) -> MeasuredRows:
    """The recorded study and the visitor's own evaluations; a file that cannot be read hides no other."""
    own, faults = result_files.own_rows(owner)
    try:
        return MeasuredRows(result_files.recorded_rows(), own, faults)
    except (ValueError, OSError) as error:
        return MeasuredRows([], own, [str(error), *faults])


def table_cells(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> dict[str, Any]:
    """Headers and data of the table; what no row measured has no column, and shares are in percent."""
    marked = mark_own(study, own)
    columns: dict[str, list[Any]] = {
        "variant": [row.variant for row, _ in marked],
        "method": [method_label(row) + mine for row, mine in marked],
        "seed": [row.seed for row, _ in marked],
        "steps": [row.steps for row, _ in marked],
        "harmful %": [percent_number(row.harmful_rate) for row, _ in marked],
        "low %": [percent_number(row.harmful_low) for row, _ in marked],
        "high %": [percent_number(row.harmful_high) for row, _ in marked],
        "against base (95 %)": [None if row.harmful_change is None else harmful_change_text(row) for row, _ in marked],
        "broken %": [percent_number(share(row.broken, row.n)) for row, _ in marked],
        "answers": [row.n for row, _ in marked],
        "tokens an answer": [row.answer_tokens and round(row.answer_tokens, 1) for row, _ in marked],
        "unjudged": [row.unjudged for row, _ in marked],
    }
    for name, found in UTILITIES.items():
        numbers = [utility_value(row, name) for row, _ in marked]
        if found.unit == "%":
            columns[f"{found.label} %"] = [percent_number(number) for number in numbers]
            columns[f"{found.label}, 95 %"] = [_between(row, name) for row, _ in marked]
        else:
            columns[", ".join(filter(None, (found.label, found.unit)))] = [n and float(f"{n:.4g}") for n in numbers]
    there = {name: column for name, column in columns.items() if any(one is not None for one in column)}
    return {"headers": list(there), "data": [list(row) for row in zip(*there.values(), strict=True)]}


def mark_own(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> list[tuple[ResultRow, str]]:
    """Every row with what is said behind its name: nothing for the study's, `YOURS` for the visitor's."""
    return [(row, "") for row in study] + [(row, OWN_SUFFIX) for row in own]


def csv_link(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> str:
    """The table as a link that carries its own data: no file of a visitor's is left on the server."""
    marked = mark_own(study, own)
    if not marked:
        return ""
    frame = result_files.rows_as_frame([row for row, _ in marked]).assign(yours=[bool(mine) for _, mine in marked])
    data = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return f"<a class='button' download='trade-off.csv' href='data:text/csv;base64,{data}'>Download table (CSV)</a>"


def notes_html(
    found: MeasuredRows, study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str, side: str
) -> str:
    """What is missing and why, and what must not be compared, in sentences."""
    said = [] if found.study else [NO_STUDY]
    shown = [*study, *own]
    others = sum(base_row(row, study) is None for row in own) if study else 0
    if others:
        said.append(
            f"{others} of your rows were measured on other prompts than the study's, or otherwise: compare them with "
            "their own base."
        )
    if not shown and (found.study or found.own):
        said.append(f"Nothing of the methods chosen was measured on {side} prompts.")
    without = sum(row.harmful_rate is None or utility_value(row, utility) is None for row in shown)
    if without:
        said.append(f"{without} of {len(shown)} rows are not drawn: {UTILITIES[utility].label} was not measured.")
    said += [f"<b>Not shown:</b> {html.escape(fault)}" for fault in found.faults]
    return "<br>".join(said)


def figure_description(rows: Sequence[ResultRow], utility: str) -> str:
    """The figure for who cannot see it; the table beneath has every number."""
    label = UTILITIES[utility].label
    measured = [row for row in rows if row.harmful_rate is not None]
    lowest = min(measured, key=lambda row: row.harmful_rate or 0.0, default=None)
    best = f" The lowest harmful rate: {row_line(lowest, utility)}." if lowest else ""
    return f"Harmful rate against {label} of {len(rows)} variants; the table below has the numbers.{best}"


def _training_name(row: ResultRow, form: str | None) -> str:
    """Name of the training, whatever its seed and length, or its model of noise; that of the shipped `form` is sku."""
    name = re.sub(r"-(seed\d+|like-.*)$", "", row.run.split("/")[0])
    return "sku" if name == form else name


def _order(row: ResultRow) -> tuple[Any, ...]:
    return row.method != BASE, method_label(row), row.seed or 0, row.steps or 0, row.run, row.coefficient or 0.0


def _between(row: ResultRow, utility: str) -> str | None:
    found = utility_interval(row, utility)
    return percent_range(*found, digits=1) if found else None
