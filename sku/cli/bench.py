"""The command `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import Model
from sku.models.pretrained import DEFAULT_BASE


def bench(
    out: Annotated[Path, typer.Option(help="The folder that gets performance.json and performance.md.")] = Path(
        "bench"
    ),
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure only this part: decoding, arithmetics, serving, start, judge, visitors, threads, "
            "'beside a training' or 'training step'. Repeatable."
        ),
    ] = None,
    model: Model = DEFAULT_BASE,
    rounds: Annotated[int, typer.Option(min=1, help="Times are medians of this many rounds.")] = 5,
    tokens: Annotated[int, typer.Option(min=1, help="New tokens of each answer.")] = 64,
    visitors: Annotated[int, typer.Option(min=1, help="Visitors who ask at the same time.")] = 20,
    visitor_seconds: Annotated[float, typer.Option(min=0.1, help="For how long they ask, twice.")] = 120.0,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts on which arithmetics are compared.")] = 40,
) -> None:
    """Measure this machine: decoding beside its rivals, arithmetics, serving, visitors, judge and training steps.

    Threads wait as those of a page. Takes about half an hour on two idle cores. What is done is kept if it is
    interrupted.
    """
    from sku.serving.bench.bench import run_bench
    from sku.serving.bench.parts import BenchSettings

    settings = BenchSettings(
        model, rounds, tokens, visitors, visitor_seconds, prompts, say=lambda line: typer.echo(line, err=True)
    )
    report = run_bench(settings, part or [], out)
    for name, why in report.skipped.items():
        typer.echo(f"not measured: {name} ({why})", err=True)
    typer.echo(f"written: {out / 'performance.json'}, {out / 'performance.md'}")
