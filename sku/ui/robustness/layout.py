"""Lays out and names the components of Robustness. It does not wire events."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sku.ui.clickable_plot import clickable_plot
from sku.ui.robustness.matrix_table import LEGEND, clickable_table
from sku.ui.robustness.view import ALL_ATTACKS, DEFAULT_ATTACKS, NO_ATTACKS


@dataclass(frozen=True)
class RobustnessComponents:
    """All components of the tab that are read or changed, except the panel that runs attacks."""

    sentence: gr.HTML
    measurement: gr.Dropdown
    """The measurement that is shown; hidden while there is only the recorded one."""
    attacks: gr.Radio
    """Which attacks the matrix shows; hidden while there are no more than the default suite."""
    table: gr.HTML
    """The matrix. Its event names the cell that was clicked."""
    legend: gr.HTML
    note: gr.HTML
    figures: gr.Row
    """Contains both figures and their lists; hidden while there is nothing to draw."""
    relearning: gr.Dropdown
    curves: gr.HTML
    rounding: gr.Dropdown
    survival: gr.HTML
    download: gr.HTML

    @property
    def selection(self) -> set[gr.components.Component]:
        """The components that decide what is shown."""
        return {self.measurement, self.attacks, self.relearning, self.rounding}

    @property
    def drawn(self) -> set[gr.blocks.Block]:
        """The components that a redraw updates."""
        texts = {self.sentence, self.table, self.legend, self.note, self.download}
        return self.selection | texts | {self.figures, self.curves, self.survival}


def lay_out_robustness() -> RobustnessComponents:
    """Lay out the tab."""
    sentence = gr.HTML(elem_id="finding", padding=False)
    with gr.Row(elem_id="attack-choice"):
        measurement = gr.Dropdown(
            [], label="Measurement", info="Only rows of one measurement can be compared.", visible=False,
            elem_id="measurement", scale=3,
        )  # fmt: skip
        attacks = gr.Radio(
            [DEFAULT_ATTACKS, ALL_ATTACKS], value=DEFAULT_ATTACKS, label="Attacks", visible=False, elem_id="attack-set"
        )
    table = clickable_table("matrix")
    legend = gr.HTML(LEGEND, elem_id="matrix-signs", padding=False, visible=False)
    note = gr.HTML(NO_ATTACKS, elem_id="attack-note", padding=False)
    with gr.Row(visible=False, elem_id="attack-figures") as figures:
        with gr.Column(min_width=320):
            relearning = gr.Dropdown(
                [], label="Relearning", elem_id="relearning",
                info="How fast the likelihood of given harmful answers returns. ★ k*: first look at the base's level.",
            )  # fmt: skip
            curves = clickable_plot("relearning-curves", keep_legend=True)
        with gr.Column(min_width=320):
            rounding = gr.Dropdown(
                [], label="Rounding", elem_id="rounding",
                info="How much of the task vector is left in each layer of the merged, rounded model.",
            )  # fmt: skip
            survival = clickable_plot("survival", keep_legend=True)
    return RobustnessComponents(
        sentence=sentence,
        measurement=measurement,
        attacks=attacks,
        table=table,
        legend=legend,
        note=note,
        figures=figures,
        relearning=relearning,
        curves=curves,
        rounding=rounding,
        survival=survival,
        download=gr.HTML(elem_id="attack-download", padding=False),
    )
