"""The command that trains the embedded judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def train_judge(
    out: Annotated[Path, typer.Option(help="The judge's folder, such as assets/judge.")],
    labelled: Annotated[Path, typer.Option(help="Answers with human scores, CSV in PyRIT's form.")],
    xstest: Annotated[Path | None, typer.Option(help="XSTest completions with labels, CSV.")] = None,
    prompts: Annotated[
        list[str] | None, typer.Option(help="Sets that the rated answers were asked from: NAME:FILE. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    only_cross: Annotated[
        bool, typer.Option("--only-cross", help="Train the cross-encoder alone, beside what the folder holds.")
    ] = False,
) -> None:
    """Train the embedded judge on labelled answers and write its card, measured on held-out prompts."""
    from sku.judges.fitting.build import build_judge

    build_judge(
        out, labelled, xstest, prompts or (), seed, only_cross, lambda line: print(line, flush=True, file=sys.stderr)
    )
