"""The command `export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ExportKind(StrEnum):
    """The kinds of files that `export` can write."""

    adapter = "adapter"
    model = "model"


def export(
    variant: Annotated[
        str,
        typer.Option("--variant", "-v", help="The variant: NAME, NAME@COEFFICIENT, or a sum such as ga@0.5+sku@1."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write. It must be new or empty.")],
    form: Annotated[
        ExportKind,
        typer.Option("--as", help="adapter: a PEFT adapter to load on the base. model: a merged checkpoint."),
    ] = ExportKind.adapter,
    model: Annotated[
        str | None,
        typer.Option(help="The base model: a hub id or a folder. By default the base that the run was trained on."),
    ] = None,
) -> None:
    """Export a variant to files that load without this project.

    Sign and coefficient become part of the exported weights.
    """
    from sku.training.export import export_variant as write

    typer.echo(f"wrote {write(variant, out, form.value, model)}")
