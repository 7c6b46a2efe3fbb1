"""The command `train-judge`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sku.core.output_paths import check_output_folder


def train_judge(
    out: Annotated[Path, typer.Option(help="The folder of the judge to write, such as assets/judge.")],
    labelled: Annotated[Path, typer.Option(help="A CSV file of answers with human scores, in PyRIT's format.")],
    xstest: Annotated[Path | None, typer.Option(help="A CSV file of labelled XSTest completions.")] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(help="Source of the prompts behind the rated answers, as NAME:FILE. Repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random draw.")] = 0,
    only_cross: Annotated[
        bool, typer.Option("--only-cross", help="Train only the cross-encoder, and keep the rest of the folder.")
    ] = False,
) -> None:
    """Train the embedded judge on labelled answers.

    Also writes the judge's card, with its agreement with people on held-out prompts.
    """
    check_output_folder(out)
    from sku.judges.fitting.build import build_judge

    build_judge(
        out, labelled, xstest, prompts or (), seed, only_cross, lambda line: print(line, flush=True, file=sys.stderr)
    )
