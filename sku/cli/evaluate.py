"""The command that measures variants."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import AsJson, JudgeName, Model, Variants, print_json
from sku.core.config import DecodingConfig
from sku.core.records import ResultRow

_SPEC = "NAME, NAME:FILE or FILE, as for train. Repeatable."


def evaluate(
    out: Annotated[Path, typer.Option(help="Result rows, JSONL; a work folder beside it keeps answers to resume.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    judge_name: JudgeName = "embedded",
    harmful: Annotated[list[str], typer.Option("--harmful-prompts", help=f"Asked. {_SPEC}")] = ["bundled"],  # noqa: B006
    pairs: Annotated[list[str], typer.Option(help=f"Harmful and safe answers, scored. {_SPEC}")] = ["bundled"],  # noqa: B006
    normal: Annotated[list[str], typer.Option(help=f"Normal prompts, asked and kept. {_SPEC}")] = ["bundled"],  # noqa: B006
    sounds_harmful: Annotated[list[str], typer.Option(help=f"Harmless ones that sound harmful. {_SPEC}")] = [  # noqa: B006
        "sounds_harmful"
    ],
    choices: Annotated[Path | None, typer.Option(help="TruthfulQA's mc_task.json, for MC1 and MC2.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many prompts of each source.")] = None,
    side: Annotated[
        str | None, typer.Option(help="train, validation or test; by default test, and all of a file of your own.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="New tokens an answer.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    similarity: Annotated[str, typer.Option(help="minilm, bleurt:FOLDER, or none.")] = "minilm",
    tasks: Annotated[
        str | None, typer.Option(help="lm-evaluation-harness tasks, such as mmlu or my-task.yaml; needs lm-eval.")
    ] = None,
    model: Model = "smollm2-135m",
    as_json: AsJson = False,
) -> None:
    """Measure variants: harmful rate, broken, KL from base, over-refusal. Stopped, it goes on where it was."""
    from sku.cli.progress import report_work
    from sku.evaluation.plan import PromptSources
    from sku.reporting import result_files
    from sku.serving.live_session import LiveSession

    wanted = _known_tasks(tasks)
    sources = PromptSources(
        harmful=tuple(harmful),
        pairs=tuple(pairs),
        normal=tuple(normal),
        references=tuple(normal),
        sounds_harmful=tuple(sounds_harmful),
        choices=str(choices) if choices else None,
        limit=limit,
    )
    decoding = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed)
    work = out.with_suffix(".work")
    rows = LiveSession(model).evaluate(variant, sources, side, decoding, judge_name, work, similarity, report_work)
    from sku.evaluation.runner import process_state

    if process_state().is_main_process:
        result_files.write_rows(out, rows)
        _print_tasks(variant, wanted, model, limit)
        _print_rows(rows, as_json)


def _known_tasks(tasks: str | None) -> list[str]:
    """The names of harness tasks, checked before any work is done."""
    wanted = [task for task in (tasks or "").split(",") if task]
    if wanted:
        from sku.evaluation.lm_eval_harness import check_tasks

        check_tasks(wanted)
    return wanted


def _print_tasks(variants: list[str], tasks: list[str], model: str, limit: int | None) -> None:
    if tasks:
        from sku.evaluation.lm_eval_harness import run_harness

        print_json([{"variant": one, "tasks": run_harness(one, tasks, model, limit)} for one in variants])


def _print_rows(rows: list[ResultRow], as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    from sku.reporting.text import rows_as_text

    typer.echo(rows_as_text(rows))
