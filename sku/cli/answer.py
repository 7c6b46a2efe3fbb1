"""The command that asks variants."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from sku.cli.options import AsJson, Model, Variants, print_json
from sku.core.config import DecodingConfig


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
