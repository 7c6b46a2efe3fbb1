"""The command `answer`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from sku.cli.options import (
    AsJson,
    MaxNewTokens,
    Model,
    Negated,
    Temperature,
    Variants,
    print_json,
    read_prompt,
    with_signs,
)
from sku.core.attacks import NO_ATTACK, OWN_PREFILL, QUESTION_ATTACKS, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.thinking import split_thinking


def answer(
    prompt: Annotated[str, typer.Argument(help="The question. Use - to read it from standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    negated: Negated = False,
    model: Model = "smollm2-135m",
    samples: Annotated[
        int, typer.Option(help="Answers per variant. With more than 1, also give a --temperature above 0.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the sampling. All variants use the same random numbers.")] = 0,
    temperature: Temperature = 0.0,
    max_tokens: MaxNewTokens = 128,
    attack: Annotated[
        str, typer.Option(help=f"The attack under which all variants answer: {', '.join(QUESTION_ATTACKS)}.")
    ] = NO_ATTACK,
    answer_start: Annotated[
        str, typer.Option(help=f"How every answer begins, for --attack {OWN_PREFILL}; the variants continue it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask several variants the same question, also under an attack.

    All variants answer in one batch. Under an attack that changes weights they answer one after another; relearning
    trains an adapter for each, about half a minute, and keeps it.
    """
    from sku.serving.live_session import LiveSession
    from sku.serving.remote_session import RemoteSession

    if attack == OWN_PREFILL and not answer_start.strip():
        raise ValueError(f"--attack {attack} needs a text; give the beginning of the answer with --answer-start")
    config = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed, samples=samples)
    text = read_prompt(prompt)
    answers = RemoteSession(LiveSession(model)).answers(
        [text], with_signs(variant, negated), config, ChosenAttack(attack, answer_start)
    )
    if as_json:
        print_json([dataclasses.asdict(answer) for answer in answers])
        return
    for answer in answers:
        sample = f" sample {answer.sample}" if samples > 1 else ""
        typer.echo(f"--- {answer.variant}{sample} ({answer.tokens} tokens, {answer.stopped})")
        thought = split_thinking(answer.text)
        if thought.thinking:
            typer.echo(f"(reasoning: {thought.thinking})")
        typer.echo(f"{f'[{answer.answer_start}]' if answer.answer_start else ''}{thought.answer}\n")
