"""The command `export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import Negated, with_signs


class ExportKind(StrEnum):
    """The kinds of files that `export` can write."""

    adapter = "adapter"
    model = "model"
    gguf = "gguf"
    gguf_adapter = "gguf-adapter"


class NumberFormatChoice(StrEnum):
    """The number formats of a merged GGUF file."""

    f32 = "f32"
    f16 = "f16"
    q8_0 = "q8_0"
    q4_1 = "q4_1"


def export(
    variant: Annotated[
        str,
        typer.Option(
            "--variant",
            "-v",
            help="The variant: NAME, NAME@COEFFICIENT, or a sum such as ga@0.5+sku@1. NAME may be a PEFT folder or the "
            "hub id of a PEFT adapter.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write. It must be new or empty.")],
    negated: Negated = False,
    form: Annotated[
        ExportKind,
        typer.Option(
            "--as",
            help="adapter: a PEFT adapter to load on the base. model: a merged transformers checkpoint. gguf: a merged "
            "GGUF file for llama.cpp. gguf-adapter: a LoRA adapter for llama.cpp; its scale 1 is the variant, and a "
            "scale s multiplies the coefficient by s.",
        ),
    ] = ExportKind.adapter,
    model: Annotated[
        str | None,
        typer.Option(help="The base model: a hub id or a folder. By default the base that the run was trained on."),
    ] = None,
    number_format: Annotated[
        NumberFormatChoice | None,
        typer.Option(
            "--type",
            help="With --as gguf, the number format of the weights. By default f16: half the size of f32, and it keeps "
            "what was unlearned. q4_1 removes most of it.",
        ),
    ] = None,
    base_gguf: Annotated[
        Path | None,
        typer.Option(
            help="With --as gguf, a GGUF file of the base, in any number format. Its tokenizer and metadata are "
            "copied. The default base needs none.",
        ),
    ] = None,
) -> None:
    """Export a variant to files that load without this project.

    Sign and coefficient become part of the exported weights.
    """
    for name, given in {"--type": number_format, "--base-gguf": base_gguf}.items():
        if given is not None and form is not ExportKind.gguf:
            raise typer.BadParameter(f"{name} needs --as gguf, not --as {form.value}", param_hint=name)

    from sku.training.export import export_variant, merge_advice
    from sku.training.gguf_export import DEFAULT_FORMAT

    (variant,) = with_signs([variant], negated)
    chosen = number_format.value if number_format else DEFAULT_FORMAT
    folder = export_variant(
        variant,
        out,
        form.value,
        model,
        number_format=chosen,
        base_gguf=base_gguf,
        report=lambda line: typer.echo(line, err=True),
    )
    typer.echo(f"wrote {folder}")
    if advice := merge_advice(variant, form.value, chosen):
        typer.echo(advice, err=True)
