"""Commands that ask variants: models, answer, score, export."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sku.cli.options import AsJson, Model, Variants, as_file, print_json
from sku.core.config import PRESETS, DecodingConfig
from sku.core.methods import METHODS

if TYPE_CHECKING:
    from sku.models.matmul_choice import MatmulStatus


class Form(StrEnum):
    """What `export` writes."""

    adapter = "adapter"
    model = "model"


def models(as_json: AsJson = False) -> None:
    """List base models, presets and this machine's matrix products: size, memory, licence, what is already here."""
    from sku.models.matmul_choice import matmul_status
    from sku.models.pretrained import KNOWN_BASES, is_present

    matmul = matmul_status()

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
        print_json([*rows, {"matmul": dataclasses.asdict(matmul)}])
        return
    typer.echo("base model                    parameters  serve   train   here  licence, source")
    for row in rows:
        size, serve, train_gb = f"{row['parameters'] / 1e6:.0f} M", f"{row['serve_gb']} GB", f"{row['train_gb']} GB"
        here = "yes" if row["here"] else "no"
        typer.echo(
            f"{row['model']:<28}  {size:>10}  {serve:<7} {train_gb:<7} {here:<5} {row['licence']}, {row['source']}"
        )
    typer.echo("\nAny hub id or local folder works too. Memory is an estimate.\n\npreset        base, what it is")
    for name, found in PRESETS.items():
        typer.echo(f"{name:<12}  {found.config().model}: {found.note}")
    typer.echo("\nmethods: " + ", ".join(METHODS))
    _print_matmul(matmul)


def _print_matmul(status: MatmulStatus) -> None:
    origin = f"forced to {status.forced}" if status.forced else status.origin
    typer.echo(f"\nmatrix products for few rows ({status.processor}, torch {status.torch}): {origin}")
    for one in status.remembered:
        typer.echo(
            f"  threads {one.key.threads}, weight shapes {one.key.weights}: "
            f"{one.matmuls.up_to_3_rows} up to 3 rows, {one.matmuls.up_to_14_rows} up to 14"
        )


def answer(
    prompt: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    model: Model = "smollm2-135m",
    samples: Annotated[int, typer.Option(help="Answers a variant; above 1 give a temperature.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the noise, which all variants share.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(help="New tokens an answer.")] = 128,
    as_json: AsJson = False,
) -> None:
    """Ask several variants the same question, in one batch."""
    from sku.serving.live_session import LiveSession

    config = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed, samples=samples)
    text = sys.stdin.read() if prompt == "-" else prompt
    written = LiveSession(model).answers([text], variant, config)
    if as_json:
        print_json([dataclasses.asdict(one) for one in written])
        return
    for one in written:
        sample = f" sample {one.sample}" if samples > 1 else ""
        typer.echo(f"--- {one.variant}{sample} ({one.tokens} tokens, {one.stopped})\n{one.text}\n")


def score(
    pairs: Annotated[str, typer.Argument(help="JSONL with prompt and answer; - is standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    model: Model = "smollm2-135m",
    max_tokens: Annotated[int, typer.Option(help="Tokens of prompt and answer; a longer answer is cut.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Log-probability of given answers under variants, in nats a token."""
    from sku.data import table as tables
    from sku.serving.live_session import LiveSession

    with as_file(pairs) as path:
        given = [(row.text("prompt"), row.text("answer")) for row in tables.read_table(path, ("prompt", "answer"))]
    table = LiveSession(model).score(given, variant, max_tokens)
    for (prompt, text), numbers in zip(given, table, strict=True):
        scores = dict(zip(variant, numbers, strict=True))
        if as_json:
            print_json([{"prompt": prompt, "answer": text, "log_prob_per_token": scores}])
        else:
            typer.echo("  ".join(f"{name} {number:.4f}" for name, number in scores.items()) + f"  {prompt[:60]}")


def export(
    variant: Annotated[str, typer.Option("--variant", "-v", help="NAME or NAME@COEFFICIENT.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    form: Annotated[
        Form, typer.Option("--as", help="A PEFT adapter with sign and coefficient baked in, or a merged checkpoint.")
    ] = Form.adapter,
    model: Annotated[str | None, typer.Option(help="The base, if it is not the one the run names.")] = None,
) -> None:
    """Write a variant that anyone can load without this project."""
    from sku.training.export import export_variant as write

    typer.echo(f"wrote {write(variant, out, form.value, model)}")
