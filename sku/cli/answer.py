"""The command `answer`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

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
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer
from sku.core.text_lines import require_text
from sku.core.thinking import split_thinking


def answer(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="The question. Use - to read it from standard input. With --messages it may be left out, if the file "
            "ends with a question."
        ),
    ] = None,
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
    system: Annotated[str, typer.Option(help="A system prompt, for bases whose chat template has one.")] = "",
    turn: Annotated[
        list[str],
        typer.Option(help="A follow-up question, to which every variant answers after its own answers. Repeatable."),
    ] = [],  # noqa: B006 (typer copies it)
    messages: Annotated[
        Path | None,
        typer.Option(
            help="A conversation that comes before the question: a JSON list of turns with role and content, or JSONL "
            "with one turn a line."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask several variants the same question, also in a conversation or under an attack.

    All variants answer in one batch. Under an attack that changes weights they answer one after another; relearning
    trains an adapter for each, about half a minute, and keeps it. With --turn, every variant continues its own first
    answer.
    """
    from sku.serving.conversations import answer_in_turn
    from sku.serving.live_session import LiveSession
    from sku.serving.remote_session import RemoteSession

    if attack == OWN_PREFILL and not answer_start.strip():
        raise ValueError(f"--attack {attack} needs a text; give the beginning of the answer with --answer-start")
    config = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed, samples=samples)
    before, question = _beginning(prompt, system, messages)
    questions = [question, *(require_text(one, "--turn") for one in turn)]
    chosen = ChosenAttack(attack, answer_start)
    variants = with_signs(variant, negated)
    session = RemoteSession(LiveSession(model))
    for answers, conversations in answer_in_turn(session, questions, variants, config, chosen, before):
        own = [one for one in conversations for _ in range(samples)]
        if as_json:
            print_json([_row(*pair) for pair in zip(answers, own, strict=True)])
            continue
        if len(questions) > 1:
            typer.echo(f"=== {answers[0].prompt}\n")
        for answer in answers:
            _print_answer(answer, samples)


def _beginning(prompt: str | None, system: str, messages: Path | None) -> tuple[Conversation, str]:
    """What comes before the first question, and that question.

    Raises:
        typer.BadParameter: if there is no question.
        ValueError: if there is more than one system prompt or open question.
    """
    from sku.data.dialogues import read_dialogue

    given, open_question = read_dialogue(messages) if messages else (NO_CONVERSATION, "")
    if system and given.system:
        raise ValueError("the file of --messages has a system prompt already; leave out --system or take it out there")
    if prompt is not None and open_question:
        raise ValueError(
            f"the file of --messages ends with a question, {open_question[:60]!r}, and PROMPT came too; leave out one"
        )
    question = open_question if prompt is None else read_prompt(prompt)
    if not question:
        raise typer.BadParameter("there is no question; give one as PROMPT, or at the end of the file of --messages")
    return Conversation(require_text(system, "--system") or given.system, given.turns), question


def _row(answer: Answer, before: Conversation) -> dict[str, Any]:
    """The answer as JSON. Only an answer in a conversation has `system` and `earlier`."""
    conversation = {"system": before.system, "earlier": [dataclasses.asdict(turn) for turn in before.turns]}
    return dataclasses.asdict(answer) | (conversation if before else {})


def _print_answer(answer: Answer, samples: int) -> None:
    sample = f" sample {answer.sample}" if samples > 1 else ""
    typer.echo(f"--- {answer.variant}{sample} ({answer.tokens} tokens, {answer.stopped})")
    thought = split_thinking(answer.text)
    if thought.thinking:
        typer.echo(f"(reasoning: {thought.thinking})")
    typer.echo(f"{f'[{answer.answer_start}]' if answer.answer_start else ''}{thought.answer}\n")
