"""The command `study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import stop_at_signals
from sku.core.output_paths import check_output_folder


def study(
    data: Annotated[
        Path | None,
        typer.Option(
            help="The folder with the data sets. Needed except with --tables. Data sets that are missing are reported "
            "and left out."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("assets/results"),
    only: Annotated[
        str | None, typer.Option(help="Train only the entries whose name contains this text; by default all.")
    ] = None,
    ship: Annotated[
        bool,
        typer.Option(
            "--ship", help="Afterwards, copy the selected adapters to assets/adapters and measure them on more prompts."
        ),
    ] = False,
    tables: Annotated[
        bool,
        typer.Option(
            "--tables",
            help="Only rewrite the tables of README.md and assets/docs from the recorded results; train and measure "
            "nothing.",
        ),
    ] = False,
) -> None:
    """Run the published study: train, measure and select.

    Trains every method, measures it at several coefficients, and writes the results that the page shows. If it is
    stopped, the same command continues where it was.
    """
    if tables:
        from sku.cli import documents

        changed = documents.write_tables()
        typer.echo("\n".join(f"wrote {path}" for path in changed) or "all tables are up to date; nothing was written")
        return
    if data is None:
        raise typer.BadParameter("the study needs a folder of data sets; give --data or --tables", param_hint="--data")
    check_output_folder(out)
    from sku.cli.progress import report_work
    from sku.study import release
    from sku.study.study import run_study

    cancelled = stop_at_signals()
    chosen = run_study(data, out, only, report_work, cancelled)
    if ship:
        release.ship_adapters(chosen)
        release.measure_shipped(data, out, report_work, cancelled)
