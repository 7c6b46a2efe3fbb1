"""The command `attack`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import (
    AsJson,
    JudgeName,
    MaxNewTokens,
    Model,
    Negated,
    Variants,
    print_json,
    stop_at_signals,
    with_signs,
)
from sku.core.attacks import ATTACKS, DEFAULT_SUITE, NO_ATTACK, SUITE_ATTACKS
from sku.core.config import DecodingConfig
from sku.core.output_paths import check_output_folder
from sku.core.storage import home

DEFAULT_LIMIT = 12
"""Prompts per source: few enough that three variants under the default suite take minutes on two cores."""


def attack(
    out: Annotated[
        Path | None,
        typer.Option(help="The JSONL file of result rows to write. A .work folder beside it keeps the answers."),
    ] = None,
    variant: Variants = ["ga", "sku"],  # noqa: B006 (typer copies it)
    negated: Negated = False,
    kind: Annotated[
        list[str],
        typer.Option(
            help=f"What to run: default ({', '.join(DEFAULT_SUITE)}), full, a group such as wrapper, or one attack. "
            "Repeatable. --list shows all."
        ),
    ] = ["default"],  # noqa: B006
    show: Annotated[bool, typer.Option("--list", help="List the attacks with what they do, and exit.")] = False,
    harmful: Annotated[
        list[str],
        typer.Option(
            "--harmful-prompts",
            help="Source of harmful prompts with answers and categories, NAME, NAME:FILE or FILE, as for train. "
            "Repeatable.",
        ),
    ] = ["bundled"],  # noqa: B006
    limit: Annotated[
        int, typer.Option(min=2, help="The most prompts of each source. More prompts give narrower intervals.")
    ] = DEFAULT_LIMIT,
    side: Annotated[str, typer.Option(help="Side of the data split: train, validation or test.")] = "test",
    max_tokens: MaxNewTokens = 48,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    judge_name: JudgeName = "embedded",
    model: Model = "smollm2-135m",
    as_json: AsJson = False,
) -> None:
    """Attack variants, and measure how much of what they forgot comes back.

    The base and a random vector are always attacked too. If it is stopped, the same command continues where it was.
    """
    if show:
        _list_attacks(as_json)
        return
    if out is None:
        raise typer.BadParameter("name the file to write with --out, such as --out attacks.jsonl")
    from sku.cli.progress import report_work
    from sku.core.attacks import attacks_of
    from sku.evaluation.attacks.suite import AttackSources
    from sku.reporting import result_files
    from sku.reporting.attack_table import attack_table
    from sku.serving.live_session import LiveSession

    result_files.check_rows_file(out)
    check_output_folder(home(), flag="SKU_HOME")  # keeps what attacks trained
    variant = with_signs(variant, negated)
    sources = AttackSources(tuple(harmful), side, limit)
    decoding = DecodingConfig(max_new_tokens=max_tokens, seed=seed)
    work = out.with_suffix(".work")
    rows = LiveSession(model).attack(
        variant, attacks_of(kind), sources, decoding, judge_name, work, report_work, stop_at_signals()
    )
    from sku.evaluation.public_names import with_public_names
    from sku.models.distributed import process_state

    rows = with_public_names(rows)
    if process_state().is_main_process:
        result_files.write_rows(out, rows)
        if as_json:
            print_json([dataclasses.asdict(row) for row in rows])
        else:
            typer.echo(attack_table(rows))


def _list_attacks(as_json: bool) -> None:
    attacks = {name: ATTACKS[name] for name in (NO_ATTACK, *SUITE_ATTACKS)}
    if as_json:
        print_json([{"name": name, **dataclasses.asdict(one)} for name, one in attacks.items()])
        return
    width = max(map(len, attacks)) + 2
    for name, one in attacks.items():
        typer.echo(f"{name:<{width}}{one.kind:<15}{one.meaning}")
