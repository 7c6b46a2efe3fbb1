"""Turns a visitor's selection into what Robustness shows: sentence, matrix, figures, notes. It uses no components."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from sku.core.attacks import DEFAULT_SUITE, NO_ATTACK, attack_label
from sku.core.records import ResultRow
from sku.models.pretrained import same_base
from sku.reporting import result_files
from sku.reporting.recovery_sentence import recovery_finding
from sku.reporting.refusing_sentence import refusing_text
from sku.reporting.relearn_curves import relearning_attacks, relearning_figure
from sku.reporting.result_files import RECORDED, RECORDED_FULL, AttackMeasurement
from sku.reporting.robustness_matrix import RobustnessMatrix, is_unlearned, robustness_matrix, variant_label
from sku.reporting.survival_plot import rounding_attacks, survival_figure
from sku.ui.robustness.matrix_table import matrix_html, sentence_html

DEFAULT_ATTACKS, ALL_ATTACKS = "default suite", "all"
NO_ATTACKS = (
    "No attack has been measured yet. To see here what comes back, run "
    "<code>python -m sku attack --out SKU_HOME/results/attacks.jsonl</code>."
)
Choices = list[tuple[str, str]]
"""Labels and values of a list."""


@dataclass(frozen=True)
class RobustnessSelection:
    """What the visitor wants to see. What is not among the rows is replaced by the first that is."""

    measurement: str | None = None
    attacks: str = DEFAULT_ATTACKS
    relearning: str | None = None
    """The attack whose curves are drawn."""
    rounding: str | None = None
    """The attack whose survival is drawn."""
    model: str | None = None
    """The base that the page runs. Measurements of other bases are not shown; None shows all."""


@dataclass(frozen=True)
class RobustnessView:
    """What the tab shows."""

    measurements: Choices
    measurement: str | None
    has_more_attacks: bool
    """Whether attacks beyond the default suite were measured."""
    sentence: str
    table: str
    note: str
    relearnings: Choices
    relearning: str | None
    curves: str
    """JSON for plotly; empty if there is nothing to draw."""
    roundings: Choices
    rounding: str | None
    survival: str
    """JSON for plotly; empty if there is nothing to draw."""
    download: str


def robustness_view(owner: str | None, selection: RobustnessSelection, openable: Collection[str]) -> RobustnessView:
    """What a visitor sees, read from the current files.

    Args:
        owner: the visitor whose own measurements are shown; None shows all.
        selection: what the visitor wants to see.
        openable: the names of adapters that Compare can open.
    """
    everything, faults = result_files.attack_measurements(owner)
    measurements = [one for one in everything if _of_base(one, selection.model)]
    names = [one.name for one in measurements]
    chosen = selection.measurement if selection.measurement in names else next(iter(names), None)
    rows = next((one.rows for one in measurements if one.name == chosen), [])
    whole = robustness_matrix(rows)
    shown = robustness_matrix(rows, DEFAULT_SUITE)
    has_more = set(shown.attacks) < set(whole.attacks)
    relearnings, roundings = relearning_attacks(rows), rounding_attacks(rows)
    relearning = _chosen(selection.relearning, relearnings)
    rounding = _chosen(selection.rounding, roundings)
    return RobustnessView(
        measurements=[(_measurement_label(one), one.name) for one in measurements],
        measurement=chosen,
        has_more_attacks=has_more,
        sentence=sentence_html(recovery_finding(whole), refusing_text(whole, html.escape)),
        table=matrix_html(whole if selection.attacks == ALL_ATTACKS else shown, openable),
        note=_note(whole, faults) if measurements else _no_measurement(everything, faults, selection.model),
        relearnings=_choices(relearnings),
        relearning=relearning,
        curves=_figure_json(relearning_figure(rows, relearning), _curves_text(relearning)) if relearning else "",
        roundings=_choices(roundings),
        rounding=rounding,
        survival=_figure_json(survival_figure(rows, rounding), _survival_text(rounding)) if rounding else "",
        download=_download(rows, chosen),
    )


def measurement_text(matrix: RobustnessMatrix) -> str:
    """Prompts, judge, model and decoding of a measurement, in one line."""
    cells = [*matrix.under(NO_ATTACK), *matrix.cells.values()]
    if not cells:
        return ""
    row = cells[0].row
    tokens = row.decoding.get("max_new_tokens")
    facts = [
        row.model,
        f"{row.n} {row.side} prompts, held out" if row.n else f"{row.side} prompts",
        f"judge {row.judge}" if row.judge else "",
        "greedy unless the attack samples" + (f", at most {tokens} tokens" if tokens else ""),
        "attack data and these prompts share no prompt and no category",
    ]
    return " · ".join(filter(None, facts))


def _chosen(wanted: str | None, offered: Sequence[str]) -> str | None:
    return wanted if wanted in offered else next(iter(offered), None)


def _choices(attacks: Sequence[str]) -> Choices:
    return [(attack_label(name), name) for name in attacks]


def _measurement_label(measurement: AttackMeasurement) -> str:
    if measurement.name == RECORDED:
        return "recorded with the project"
    if measurement.name == RECORDED_FULL:
        return "recorded with the project, all attacks"
    labels = dict.fromkeys(variant_label(row) for row in measurement.rows if is_unlearned(row))
    return f"yours, {measurement.name}: {', '.join(labels) or 'base'}"


def _of_base(measurement: AttackMeasurement, model: str | None) -> bool:
    return model is None or any(same_base(row.model, model) for row in measurement.rows)


def _no_measurement(hidden: Sequence[AttackMeasurement], faults: Sequence[str], model: str | None) -> str:
    """The note if nothing was measured on this base."""
    bases = ", ".join(dict.fromkeys(one.rows[0].model for one in hidden if one.rows))
    if not bases:
        return _note(robustness_matrix([]), faults)
    return (
        f"The recorded attacks are on {html.escape(bases)}, and this page runs {html.escape(str(model))}. Attack "
        "variants of this base below to see what comes back."
    )


def _note(matrix: RobustnessMatrix, faults: Sequence[str]) -> str:
    lines = [html.escape(measurement_text(matrix))] if matrix.cells else [NO_ATTACKS]
    return "<br>".join([*lines, *(f"<b>Not shown:</b> {html.escape(fault)}" for fault in faults)])


def _figure_json(figure: go.Figure, description: str) -> str:
    text: str = figure.update_layout(meta=description).to_json()
    return text


def _curves_text(attack: str) -> str:
    return f"Likelihood of given harmful answers over the steps of “{attack_label(attack)}”, one line per variant."


def _survival_text(attack: str) -> str:
    return f"Share of the task vector left in each layer after “{attack_label(attack)}”, one line per variant."


def _download(rows: Sequence[ResultRow], name: str | None) -> str:
    """A link that holds the rows as JSONL, so that the server stores no file. `python -m sku plot` reads it."""
    if not rows:
        return ""
    lines = "".join(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in rows)
    data = base64.b64encode(lines.encode()).decode()
    file = html.escape(f"attacks-{name}.jsonl", quote=True)
    link = f"data:application/jsonl;base64,{data}"
    return f"<a class='button' download='{file}' href='{link}'>Download rows (JSONL)</a>"
