"""The command that draws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    rows: Annotated[Path, typer.Argument(help="Result rows, JSONL; or a run folder, or a judge's folder.")],
    out: Annotated[Path, typer.Option(help="figure.html or figure.png.")],
    utility: Annotated[str, typer.Option(help="What stands against harmful rate, such as kl.")] = "kl",
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Bars of outcomes instead.")] = False,
) -> None:
    """Draw harmful rate against utility, the outcomes of every variant, a run's losses, or a judge's agreement."""
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
