"""The command that runs the study and writes the documents' tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def study(
    data: Annotated[
        Path | None, typer.Option(help="Folder with the data sets; missing ones are named and left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("assets/results"),
    only: Annotated[str | None, typer.Option(help="Train only those whose name contains this.")] = None,
    ship: Annotated[
        bool,
        typer.Option(
            "--ship", help="Put the chosen adapters into assets/adapters, and measure them there on more prompts."
        ),
    ] = False,
    tables: Annotated[
        bool,
        typer.Option(
            "--tables", help="Only rewrite the tables of README.md and assets/docs from the recorded results."
        ),
    ] = False,
) -> None:
    """Train every method, sweep the coefficients, judge, and write the results that the page shows. Resumable."""
    if tables:
        from sku.cli import documents

        changed = documents.write_tables()
        typer.echo("\n".join(f"wrote {path}" for path in changed) or "the tables are as recorded; nothing was written")
        return
    if data is None:
        raise typer.BadParameter("the study needs a folder of data sets; give one, or --tables", param_hint="--data")
    from sku.cli.progress import report_work
    from sku.study import release
    from sku.study.study import run_study as run_study

    chosen = run_study(data, out, only, report_work)
    if ship:
        release.ship_adapters(chosen)
        release.measure_shipped(data, out, report_work)
