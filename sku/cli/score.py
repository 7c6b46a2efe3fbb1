"""The command that scores given answers."""

from __future__ import annotations

from typing import Annotated

import typer

from sku.cli.options import AsJson, Model, Variants, as_file, print_json


def score(
    pairs: Annotated[str, typer.Argument(help="JSONL with prompt and answer; - is standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    model: Model = "smollm2-135m",
    max_tokens: Annotated[int, typer.Option(help="Tokens of prompt and answer; a longer answer is cut.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Log-probability of given answers under variants, in nats per token."""
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
