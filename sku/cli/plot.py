"""The command `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import plotly.graph_objects as go

Figure = Literal["trade-off", "outcomes", "matrix", "relearning", "survival"]


def plot(
    rows: Annotated[Path, typer.Argument(help="A JSONL file of result rows, a run folder, or the folder of a judge.")],
    out: Annotated[Path, typer.Option(help="The figure to write. Its name must end in .html or .png.")],
    utility: Annotated[
        str, typer.Option(help="The utility to plot against the harmful rate, such as kl, perplexity or over_refusal.")
    ] = "kl",
    outcomes: Annotated[
        bool,
        typer.Option("--outcomes", help="Draw the outcomes of every variant as bars; short for --figure outcomes."),
    ] = False,
    figure: Annotated[
        Figure | None,
        typer.Option(
            help="What to draw of result rows. For rows of `attack`: matrix (variants x attacks), relearning, or "
            "survival (of the vector after rounding). By default matrix for rows of `attack`, else trade-off."
        ),
    ] = None,
    attack: Annotated[
        str | None,
        typer.Option(help="The attack whose relearning or survival is drawn, such as relearn-50 or int4."),
    ] = None,
) -> None:
    """Draw a figure of results, of a run or of a judge.

    For result rows: harmful rate against utility, the outcomes of every variant, or what attacks bring back. For a run:
    its losses. For a judge: its agreement with people.
    """
    from sku.core import runs
    from sku.judges import cards
    from sku.reporting import image_export, judge_agreement, loss_curves

    image_export.check_figure_path(out)
    if (rows / "judge.json").is_file():
        drawn = judge_agreement.judge_agreement_figure([cards.embedded_card(rows), cards.keyword_card(rows)])
    elif rows.is_dir():
        drawn = loss_curves.loss_figure(runs.read_log(runs.read_run(rows).folder))
    else:
        drawn = _rows_figure(rows, "outcomes" if outcomes else figure, utility, attack)
    image_export.write_figure(drawn, out)
    typer.echo(f"wrote {out}")


def _rows_figure(path: Path, figure: Figure | None, utility: str, attack: str | None) -> go.Figure:
    from sku.core import runs
    from sku.reporting import (
        outcome_bars,
        relearn_curves,
        result_files,
        robustness_heatmap,
        survival_plot,
        tradeoff_plot,
    )

    rows = result_files.read_rows(path)
    wanted = figure or ("matrix" if any(row.attack for row in rows) else "trade-off")
    if wanted == "outcomes":
        return outcome_bars.outcome_figure(rows)
    if wanted == "matrix":
        return robustness_heatmap.robustness_figure(rows)
    if wanted == "relearning":
        return relearn_curves.relearning_figure(rows, _attack(path, relearn_curves.relearning_attacks(rows), attack))
    if wanted == "survival":
        return survival_plot.survival_figure(rows, _attack(path, survival_plot.rounding_attacks(rows), attack))
    return tradeoff_plot.tradeoff_figure(rows, utility, shipped=runs.shipped_variants())


def _attack(path: Path, offered: list[str], wanted: str | None) -> str:
    """The attack to draw: the wanted one, or the first of those offered.

    Raises:
        ValueError: if there is none, or not the wanted one.
    """
    if not offered:
        raise ValueError(f"{path} has no rows that this figure needs; measure them with `python -m sku attack`")
    if wanted and wanted not in offered:
        raise ValueError(f"{path} has no such rows of the attack {wanted!r}; choose one of {', '.join(offered)}")
    return wanted or offered[0]
