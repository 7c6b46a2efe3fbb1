"""The command `evaluate`."""

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
    Temperature,
    Variants,
    print_json,
    stop_at_signals,
    with_signs,
)
from sku.core.config import DecodingConfig
from sku.core.records import ResultRow

_SOURCE = "A source is NAME, NAME:FILE or FILE, as for train. Repeatable."


def evaluate(
    out: Annotated[
        Path, typer.Option(help="The JSONL file of result rows to write. A .work folder beside it keeps the answers.")
    ],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    negated: Negated = False,
    judge_name: JudgeName = "embedded",
    harmful: Annotated[
        list[str], typer.Option("--harmful-prompts", help=f"Source of harmful prompts to ask. {_SOURCE}")
    ] = ["bundled"],  # noqa: B006
    pairs: Annotated[list[str], typer.Option(help=f"Source of harmful and safe answers to score. {_SOURCE}")] = [  # noqa: B006
        "bundled"
    ],
    normal: Annotated[
        list[str], typer.Option(help=f"Source of normal prompts, for KL, perplexity and similarity. {_SOURCE}")
    ] = ["bundled"],  # noqa: B006
    sounds_harmful: Annotated[
        list[str], typer.Option(help=f"Source of harmless prompts that sound harmful, for over-refusal. {_SOURCE}")
    ] = ["sounds_harmful"],  # noqa: B006
    choices: Annotated[
        Path | None, typer.Option(help="TruthfulQA's mc_task.json. Without it, MC1 and MC2 are not measured.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most prompts of each source; by default all are used.")
    ] = None,
    normal_limit: Annotated[
        int | None,
        typer.Option(min=1, help="The most normal prompts that are answered, of each source.", show_default="--limit"),
    ] = None,
    side: Annotated[
        str | None,
        typer.Option(
            help="Side of the data split: train, validation or test. By default the test side of named sources, and "
            "all prompts of your own files."
        ),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Measure harmful prompts and pairs of this category only. Repeatable.", show_default="all"),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Do not measure harmful prompts and pairs of this category. Repeatable.", show_default="none"
        ),
    ] = None,
    drop_overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Leave out harmful prompts and pairs that share at least this part of their content words with one "
            "training prompt of a measured variant, such as 0.5.",
            show_default="keep all",
        ),
    ] = None,
    training_data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="For --drop-overlap: the folder with the files that the variants were trained on. Shipped adapters "
            "name theirs without a folder.",
        ),
    ] = None,
    max_tokens: MaxNewTokens = 64,
    temperature: Temperature = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    similarity: Annotated[
        str, typer.Option(help="Metric of similarity to the base's answers: minilm, bleurt:FOLDER, or none.")
    ] = "minilm",
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks of the lm-evaluation-harness to run as well, such as mmlu or my-task.yaml, separated by "
            "commas. Needs lm-eval."
        ),
    ] = None,
    model: Model = "smollm2-135m",
    as_json: AsJson = False,
) -> None:
    """Measure what variants forgot and what that cost.

    Reports harmful rate, broken answers, KL from base, over-refusal and more. If it is stopped, the same command
    continues where it was.
    """
    from sku.cli.progress import report_work
    from sku.evaluation.plan import PromptSources
    from sku.reporting import result_files
    from sku.serving.live_session import LiveSession

    result_files.check_rows_file(out)
    if training_data and drop_overlap is None:
        raise typer.BadParameter("only --drop-overlap uses it; give both", param_hint="--training-data")
    variant, task_names = with_signs(variant, negated), _checked_tasks(tasks)
    sources = PromptSources(
        harmful=tuple(harmful),
        pairs=tuple(pairs),
        normal=tuple(normal),
        references=tuple(normal),
        sounds_harmful=tuple(sounds_harmful),
        choices=str(choices) if choices else None,
        limit=limit,
        normal_limit=normal_limit,
        sounds_harmful_limit=normal_limit,
        categories=tuple(category or ()),
        leave_out=tuple(leave_out or ()),
        drop_overlap=drop_overlap,
        training_data=str(training_data) if training_data else None,
    )
    decoding = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed)
    work = out.with_suffix(".work")
    rows = LiveSession(model).evaluate(
        variant, sources, side, decoding, judge_name, work, similarity, report_work, stop_at_signals()
    )
    from sku.evaluation.public_names import with_public_names
    from sku.models.distributed import process_state

    rows = with_public_names(rows)
    if process_state().is_main_process:
        result_files.write_rows(out, rows)
        _print_tasks(variant, task_names, model, limit)
        _print_rows(rows, as_json)


def _checked_tasks(tasks: str | None) -> list[str]:
    """The names of the harness tasks. They are checked before any work is done."""
    names = [task for task in (tasks or "").split(",") if task]
    if names:
        from sku.evaluation.lm_eval_harness import check_tasks

        check_tasks(names)
    return names


def _print_tasks(variants: list[str], tasks: list[str], model: str, limit: int | None) -> None:
    if tasks:
        from sku.evaluation.lm_eval_harness import run_harness

        print_json([{"variant": name, "tasks": run_harness(name, tasks, model, limit)} for name in variants])


def _print_rows(rows: list[ResultRow], as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    from sku.reporting.row_text import rows_as_text

    typer.echo(rows_as_text(rows))
