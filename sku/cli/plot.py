"""The command `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    rows: Annotated[Path, typer.Argument(help="A JSONL file of result rows, a run folder, or the folder of a judge.")],
    out: Annotated[Path, typer.Option(help="The figure to write. Its name must end in .html or .png.")],
    utility: Annotated[
        str, typer.Option(help="The utility to plot against the harmful rate, such as kl, perplexity or over_refusal.")
    ] = "kl",
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Draw the outcomes of every variant as bars instead of the trade-off.")
    ] = False,
) -> None:
    """Draw a figure of results, of a run or of a judge.

    For result rows: harmful rate against utility, or the outcomes of every variant. For a run: its losses. For a judge:
    its agreement with people.
    """
    from sku.core import runs
    from sku.judges import cards
    from sku.reporting import image_export, judge_agreement, loss_curves, outcome_bars, result_files, tradeoff_plot

    if (rows / "judge.json").is_file():
        figure = judge_agreement.judge_agreement_figure([cards.embedded_card(rows), cards.keyword_card(rows)])
    elif rows.is_dir():
        figure = loss_curves.loss_figure(runs.read_log(runs.read_run(rows).folder))
    elif outcomes:
        figure = outcome_bars.outcome_figure(result_files.read_rows(rows))
    else:
        figure = tradeoff_plot.tradeoff_figure(result_files.read_rows(rows), utility, shipped=runs.shipped_variants())
    image_export.write_figure(figure, out)
    typer.echo(f"wrote {out}")
