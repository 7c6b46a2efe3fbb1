"""The command `answer`."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from sku.cli.options import AsJson, MaxNewTokens, Model, Temperature, Variants, print_json
from sku.core.config import DecodingConfig


def answer(
    prompt: Annotated[str, typer.Argument(help="The question. Use - to read it from standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    model: Model = "smollm2-135m",
    samples: Annotated[
        int, typer.Option(help="Answers per variant. With more than 1, also give a --temperature above 0.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the sampling. All variants use the same random numbers.")] = 0,
    temperature: Temperature = 0.0,
    max_tokens: MaxNewTokens = 128,
    as_json: AsJson = False,
) -> None:
    """Ask several variants the same question. All of them answer in one batch."""
    from sku.serving.live_session import LiveSession

    config = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed, samples=samples)
    text = sys.stdin.read() if prompt == "-" else prompt
    answers = LiveSession(model).answers([text], variant, config)
    if as_json:
        print_json([dataclasses.asdict(answer) for answer in answers])
        return
    for answer in answers:
        sample = f" sample {answer.sample}" if samples > 1 else ""
        typer.echo(f"--- {answer.variant}{sample} ({answer.tokens} tokens, {answer.stopped})\n{answer.text}\n")
