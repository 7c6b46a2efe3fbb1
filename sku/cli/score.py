"""The command `score`."""

from __future__ import annotations

from typing import Annotated

import typer

from sku.cli.options import AsJson, Model, Negated, Variants, as_file, print_json, with_signs


def score(
    pairs: Annotated[
        str, typer.Argument(help="A table of prompts and answers, as for judge. Use - for standard input.")
    ],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    negated: Negated = False,
    model: Model = "smollm2-135m",
    max_tokens: Annotated[
        int, typer.Option(help="The most tokens of prompt and answer together. Longer answers are cut off.")
    ] = 512,
    as_json: AsJson = False,
) -> None:
    """Print how likely given answers are under variants.

    The score is the mean log-probability per token, in nats.
    """
    from sku.data import table as tables
    from sku.data.row_texts import prompts_with_answers
    from sku.serving.live_session import LiveSession

    with as_file(pairs) as path:
        rows = list(tables.read_table(path))
    given = prompts_with_answers(rows, blank_answers=False)
    variant = with_signs(variant, negated)
    table = LiveSession(model).score(given, variant, max_tokens)
    for (prompt, text), numbers in zip(given, table, strict=True):
        scores = dict(zip(variant, numbers, strict=True))
        if as_json:
            print_json([{"prompt": prompt, "answer": text, "log_prob_per_token": scores}])
        else:
            typer.echo("  ".join(f"{name} {number:.4f}" for name, number in scores.items()) + f"  {prompt[:60]}")
