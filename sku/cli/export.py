"""The command that writes a variant for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ExportKind(StrEnum):
    """What `export` writes."""

    adapter = "adapter"
    model = "model"


def export(
    variant: Annotated[str, typer.Option("--variant", "-v", help="NAME, NAME@COEFFICIENT, or a sum: ga@0.5+sku@1.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    form: Annotated[
        ExportKind,
        typer.Option("--as", help="A PEFT adapter with sign and coefficient baked in, or a merged checkpoint."),
    ] = ExportKind.adapter,
    model: Annotated[str | None, typer.Option(help="The base, if it is not the one the run names.")] = None,
) -> None:
    """Write a variant that anyone can load without this project."""
    from sku.training.export import export_variant as write

    typer.echo(f"wrote {write(variant, out, form.value, model)}")
