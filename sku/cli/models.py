"""The command `models`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import typer

from sku.cli.options import AsJson, print_json
from sku.core.config import PRESETS
from sku.core.methods import METHODS

if TYPE_CHECKING:
    from sku.models.matmul_choice import MatmulStatus


def models(as_json: AsJson = False) -> None:
    """List the base models, the presets and the methods.

    Shows the size, memory, licence and source of every base model, and whether it is on this machine. Also shows which
    matrix products this machine uses for small batches.
    """
    from sku.models.arithmetic import arithmetic_status
    from sku.models.matmul_choice import matmul_status
    from sku.models.pretrained import KNOWN_BASES, is_present

    matmul, arithmetic = matmul_status(), arithmetic_status()

    rows: list[dict[str, Any]] = [
        {
            "model": base.name,
            "parameters": base.parameters,
            "serve_gb": round(base.serve_bytes / 1e9, 1),
            "train_gb": round(base.train_bytes / 1e9, 1),
            "dtype": base.dtype,
            "licence": base.licence,
            "source": base.source,
            "here": is_present(base.name),
            "presets": [name for name, p in PRESETS.items() if p.config().model == base.name],
        }
        for base in KNOWN_BASES.values()
    ]
    if as_json:
        print_json([*rows, {"arithmetic": dataclasses.asdict(arithmetic)}, {"matmul": dataclasses.asdict(matmul)}])
        return
    typer.echo("base model                    parameters  serve   train   local licence, source")
    for row in rows:
        size, serve, train_gb = f"{row['parameters'] / 1e6:.0f} M", f"{row['serve_gb']} GB", f"{row['train_gb']} GB"
        local = "yes" if row["here"] else "no"
        typer.echo(
            f"{row['model']:<28}  {size:>10}  {serve:<7} {train_gb:<7} {local:<5} {row['licence']}, {row['source']}"
        )
    typer.echo(
        "\nAny hub id or local folder works too. The memory to serve or train is an estimate.\n\n"
        "preset        base model and description"
    )
    for name, preset in PRESETS.items():
        typer.echo(f"{name:<12}  {preset.config().model}: {preset.note}")
    typer.echo("\nmethods: " + ", ".join(METHODS))
    _print_matmul(matmul)
    library = f"onnxruntime {arithmetic.onnxruntime}" if arithmetic.onnxruntime else "onnxruntime is not installed"
    typer.echo(
        f"arithmetic of decoding steps, for bases on a 4-bit grid: {arithmetic.page} on the page, "
        f"{arithmetic.commands} in commands ({library})"
    )


def _print_matmul(status: MatmulStatus) -> None:
    origin = f"forced to {status.forced}" if status.forced else status.origin
    typer.echo(f"\nmatrix products for small batches ({status.processor}, torch {status.torch}): {origin}")
    for choice in status.remembered:
        typer.echo(
            f"  threads {choice.key.threads}, weight shapes {choice.key.weights}: "
            f"{choice.matmuls.up_to_3_rows} up to 3 rows, {choice.matmuls.up_to_14_rows} up to 14"
        )
