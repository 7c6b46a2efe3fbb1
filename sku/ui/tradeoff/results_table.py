"""Measured rows for Trade-off, from the study and from the visitor: as a table, as a CSV file and as notes."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sku.core.records import OWN_SIDE, ResultRow
from sku.core.variants import BASE
from sku.models.pretrained import same_base
from sku.reporting import result_files
from sku.reporting.formatting import percent_number, percent_range
from sku.reporting.pareto import base_row
from sku.reporting.row_text import harmful_change_text, method_label, row_line
from sku.reporting.utilities import UTILITIES, share, utility_interval, utility_value
from sku.serving.variant_catalog import SHIPPED_LABELS
from sku.ui.csv_download import csv_link

OWN_SUFFIX = " (yours)"
_REPEAT = re.compile(r"-seed\d+|/step-")
"""In the name of a run that repeats another with another seed, or is a checkpoint of it."""
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
        """The checkboxes that show or hide rows, by name, each with its first row: the visitor's, else the study's.

        Different trainings of one method have separate checkboxes.
        """
        box_name = self._box_names()
        rows = [(box_name(row), row) for row in (*self.study, *self.own) if row.method != BASE]
        first = dict(reversed(rows)) | {name: row for name, row in reversed(rows) if row in self.own}
        return {name: first[name] for name in dict(rows)}

    def shown(self, side: str, boxes: Sequence[str], repeats: bool = True) -> tuple[list[ResultRow], list[ResultRow]]:
        """The study's rows and the visitor's rows to show: the base first, then sorted by training and coefficient.

        Args:
            side: the prompt set. Of the visitor's own prompts, only the set that was measured last is shown, because
                rows of different prompts cannot be compared.
            boxes: the ticked checkboxes.
            repeats: whether the study's other seeds and its checkpoints are shown.
        """
        box_name = self._box_names()

        def select(rows: Sequence[ResultRow]) -> list[ResultRow]:
            selected = [row for row in rows if row.side == side and (row.method == BASE or box_name(row) in boxes)]
            return sorted(selected, key=_order)

        study = [row for row in self.study if repeats or not _REPEAT.search(row.run)]
        own = self.newest_own_prompts() if side == OWN_SIDE else self.own
        return select(study), select(own)

    def newest_own_prompts(self) -> list[ResultRow]:
        """The rows of the visitor's own prompts that were measured last; earlier ones of the same prompts included."""
        rows = [row for row in self.own if row.side == OWN_SIDE]
        return [row for row in rows if row.sets.get("harmful") == rows[-1].sets.get("harmful")]

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


def table_cells(study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str = "kl") -> dict[str, Any]:
    """The headers and data of the table: the harmful rate and what it costs come first.

    Columns without any value are left out, and shares are in percent.

    Args:
        study: the study's rows.
        own: the visitor's rows.
        utility: the cost that the figure shows; its column stands beside the harmful rate.
    """
    marked = mark_own(study, own)
    rows = [row for row, _ in marked]
    columns: dict[str, list[Any]] = {
        "variant": [row.variant for row in rows],
        "harmful %": [percent_number(row.harmful_rate) for row in rows],
        "harmful, 95 %": [_range_text(row.harmful_low, row.harmful_high) for row in rows],
        **_utility_column(utility, rows),
        **_utility_column("over_refusal", rows),
        "broken %": [percent_number(share(row.broken, row.n)) for row in rows],
        "off-topic %": [percent_number(share(row.off_topic, row.n)) for row in rows],
        "method": [SHIPPED_LABELS.get(row.run, method_label(row)) + suffix for row, suffix in marked],
        "seed": [row.seed for row in rows],
        "steps": [row.steps for row in rows],
        "change from base (95 %)": [None if row.harmful_change is None else harmful_change_text(row) for row in rows],
        "answers": [row.n for row in rows],
        "tokens per answer": [row.answer_tokens and round(row.answer_tokens, 1) for row in rows],
        "unjudged": [row.unjudged for row in rows],
    }
    for name, found in UTILITIES.items():
        columns |= _utility_column(name, rows)
        if found.unit == "%":
            columns[f"{found.label}, 95 %"] = [_interval_text(row, name) for row in rows]
    filled = {name: column for name, column in columns.items() if any(cell is not None for cell in column)}
    return {"headers": list(filled), "data": [list(row) for row in zip(*filled.values(), strict=True)]}


def _utility_column(name: str, rows: Sequence[ResultRow]) -> dict[str, list[Any]]:
    """The column of a utility, by its header."""
    utility, numbers = UTILITIES[name], [utility_value(row, name) for row in rows]
    if utility.unit == "%":
        return {f"{utility.label} %": [percent_number(number) for number in numbers]}
    return {", ".join(filter(None, (utility.label, utility.unit))): [n and float(f"{n:.3g}") for n in numbers]}


def mark_own(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> list[tuple[ResultRow, str]]:
    """Every row with the suffix for its label: empty for the study's rows, `OWN_SUFFIX` for the visitor's."""
    return [(row, "") for row in study] + [(row, OWN_SUFFIX) for row in own]


def download_link(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> str:
    """A link that downloads the table; empty if it has no rows."""
    marked = mark_own(study, own)
    if not marked:
        return ""
    frame = result_files.rows_as_frame([row for row, _ in marked]).assign(yours=[bool(suffix) for _, suffix in marked])
    return csv_link(frame.to_csv(index=False), "trade-off.csv", "Download table (CSV)")


def notes_html(
    measured: MeasuredRows, study: Sequence[ResultRow], own: Sequence[ResultRow], utility: str, side: str
) -> str:
    """Notes for the visitor: what is missing and why, and what must not be compared."""
    notes = [] if measured.study else [NO_STUDY]
    shown = [*study, *own]
    incomparable = sum(base_row(row, study) is None for row in own) if study and side != OWN_SIDE else 0
    if incomparable:
        were = "was" if incomparable == 1 else "were"
        notes.append(
            f"{incomparable} of your rows {were} measured on other prompts than the study, or in another way. "
            "Compare such rows only with the base that was measured with them."
        )
    if side == OWN_SIDE and not own:
        notes.append("You have measured none of your own prompts yet; open “Measure” below the figure.")
    elif not shown and (measured.study or measured.own):
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


def _range_text(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else percent_range(low, high)


def _interval_text(row: ResultRow, utility: str) -> str | None:
    interval = utility_interval(row, utility)
    return percent_range(*interval, digits=1) if interval else None
