"""Measured rows for Trade-off, from the study and from the visitor: as a table, as a CSV file and as notes."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sku.core.records import ResultRow
from sku.core.variants import BASE
from sku.models.pretrained import same_base
from sku.reporting import result_files
from sku.reporting.formatting import percent_number, percent_range
from sku.reporting.pareto import base_row
from sku.reporting.row_text import harmful_change_text, method_label, row_line
from sku.reporting.utilities import UTILITIES, share, utility_interval, utility_value

OWN_SUFFIX = " (yours)"
NO_STUDY = "There is no recorded study yet. Run <code>python -m sku study</code> to see its points here."


class MeasuredRows(NamedTuple):
    """All measured rows that this visitor may see."""

    study: list[ResultRow]
    own: list[ResultRow]
    faults: list[str]
    """One message for each result file that could not be read."""

    def of_base(self, model: str) -> MeasuredRows:
        """The rows that were measured on the base `model`."""
        study, own = ([row for row in rows if same_base(row.model, model)] for rows in (self.study, self.own))
        return MeasuredRows(study, own, self.faults)

    def boxes(self) -> dict[str, ResultRow]:
        """The checkboxes that show or hide rows, by name, each with one of its rows.

        Different trainings of one method have separate checkboxes.
        """
        box_name = self._box_names()
        return {box_name(row): row for row in (*self.study, *self.own) if row.method != BASE}

    def shown(self, side: str, boxes: Sequence[str]) -> tuple[list[ResultRow], list[ResultRow]]:
        """The study's rows and the visitor's rows to show: the base first, then sorted by training and coefficient."""
        box_name = self._box_names()

        def select(rows: Sequence[ResultRow]) -> list[ResultRow]:
            selected = [row for row in rows if row.side == side and (row.method == BASE or box_name(row) in boxes)]
            return sorted(selected, key=_order)

        return select(self.study), select(self.own)

    def _box_names(self) -> Callable[[ResultRow], str]:
        """A function that names a row's checkbox. All seeds and checkpoints of a training share one checkbox."""
        form = result_files.shipped_form(result_files.RECORDED_STUDY.parent)
        trainings: dict[str, set[str]] = {}
        for row in self.study:
            trainings.setdefault(method_label(row), set()).add(_training_name(row, form))

        def box_name(row: ResultRow) -> str:
            name, same_method = _training_name(row, form), trainings.get(method_label(row), set())
            several = len(same_method) > 1 and name in same_method
            return f"{method_label(row)} ({name})" if several else method_label(row)

        return box_name


def other_base_html(recorded: Sequence[ResultRow], shown: Sequence[ResultRow], model: str | None) -> str:
    """A note that the recorded study is of another base than `model`; empty if it is not."""
    if not recorded or shown or model is None:
        return ""
    return (
        f"The recorded study is of {html.escape(recorded[0].model)}, and this page runs {html.escape(model)}. Only "
        "rows that were measured on this base are shown; measure variants below to add some."
    )


def load_measured(owner: str | None = None) -> MeasuredRows:
    """Load the recorded study and the visitor's own evaluations. An unreadable file does not hide the others."""
    own, faults = result_files.own_rows(owner)
    try:
        return MeasuredRows(result_files.recorded_rows(), own, faults)
    except (ValueError, OSError) as error:
        return MeasuredRows([], own, [str(error), *faults])


def table_cells(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> dict[str, Any]:
    """The headers and data of the table. Columns without any value are left out, and shares are in percent."""
    marked = mark_own(study, own)
    changes = [None if row.harmful_change is None else harmful_change_text(row) for row, _ in marked]
    columns: dict[str, list[Any]] = {
        "variant": [row.variant for row, _ in marked],
        "method": [method_label(row) + suffix for row, suffix in marked],
        "seed": [row.seed for row, _ in marked],
        "steps": [row.steps for row, _ in marked],
        "harmful %": [percent_number(row.harmful_rate) for row, _ in marked],
        "low %": [percent_number(row.harmful_low) for row, _ in marked],
        "high %": [percent_number(row.harmful_high) for row, _ in marked],
        "change from base (95 %)": changes,
        "broken %": [percent_number(share(row.broken, row.n)) for row, _ in marked],
        "off-topic %": [percent_number(share(row.off_topic, row.n)) for row, _ in marked],
        "answers": [row.n for row, _ in marked],
        "tokens per answer": [row.answer_tokens and round(row.answer_tokens, 1) for row, _ in marked],
        "unjudged": [row.unjudged for row, _ in marked],
    }
    for name, utility in UTILITIES.items():
        numbers = [utility_value(row, name) for row, _ in marked]
        if utility.unit == "%":
            columns[f"{utility.label} %"] = [percent_number(number) for number in numbers]
            columns[f"{utility.label}, 95 %"] = [_interval_text(row, name) for row, _ in marked]
        else:
            columns[", ".join(filter(None, (utility.label, utility.unit)))] = [n and float(f"{n:.4g}") for n in numbers]
    filled = {name: column for name, column in columns.items() if any(cell is not None for cell in column)}
    return {"headers": list(filled), "data": [list(row) for row in zip(*filled.values(), strict=True)]}


def mark_own(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> list[tuple[ResultRow, str]]:
    """Every row with the suffix for its label: empty for the study's rows, `OWN_SUFFIX` for the visitor's."""
    return [(row, "") for row in study] + [(row, OWN_SUFFIX) for row in own]


def csv_link(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> str:
    """A link that downloads the table as CSV. The link itself contains the data, so the server stores no file."""
    marked = mark_own(study, own)
    if not marked:
        return ""
    frame = result_files.rows_as_frame([row for row, _ in marked]).assign(yours=[bool(suffix) for _, suffix in marked])
    data = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return f"<a class='button' download='trade-off.csv' href='data:text/csv;base64,{data}'>Download table (CSV)</a>"


def notes_html(
    measured: MeasuredRows, study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str, side: str
) -> str:
    """Notes for the visitor: what is missing and why, and what must not be compared."""
    notes = [] if measured.study else [NO_STUDY]
    shown = [*study, *own]
    incomparable = sum(base_row(row, study) is None for row in own) if study else 0
    if incomparable:
        were = "was" if incomparable == 1 else "were"
        notes.append(
            f"{incomparable} of your rows {were} measured on other prompts than the study, or in another way. "
            "Compare such rows only with the base that was measured with them."
        )
    if not shown and (measured.study or measured.own):
        notes.append(f"None of the chosen methods was measured on {side} prompts.")
    missing = sum(row.harmful_rate is None or utility_value(row, utility) is None for row in shown)
    if missing:
        notes.append(
            f"{missing} of {len(shown)} rows are not drawn, because {UTILITIES[utility].label} was not measured."
        )
    notes += [f"<b>Not shown:</b> {html.escape(fault)}" for fault in measured.faults]
    return "<br>".join(notes)


def figure_description(rows: Sequence[ResultRow], utility: str) -> str:
    """A description of the figure for people who cannot see it. The table below has every number."""
    label = UTILITIES[utility].label
    measured = [row for row in rows if row.harmful_rate is not None]
    lowest = min(measured, key=lambda row: row.harmful_rate or 0.0, default=None)
    best = f" The lowest harmful rate is that of {row_line(lowest, utility)}." if lowest else ""
    return f"Harmful rate against {label} for {len(rows)} variants; the table below has the numbers.{best}"


def _training_name(row: ResultRow, form: str | None) -> str:
    """The name of a row's training, without its seed, checkpoint or noise model. The shipped `form` is named sku."""
    name = re.sub(r"-(seed\d+|like-.*)$", "", row.run.split("/")[0])
    return "sku" if name == form else name


def _order(row: ResultRow) -> tuple[Any, ...]:
    return row.method != BASE, method_label(row), row.seed or 0, row.steps or 0, row.run, row.coefficient or 0.0


def _interval_text(row: ResultRow, utility: str) -> str | None:
    interval = utility_interval(row, utility)
    return percent_range(*interval, digits=1) if interval else None
