"""Commands that measure: evaluate, judge, plot, record, study, train-judge."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import AsJson, Model, Variants, as_file, print_json
from sku.core.config import DecodingConfig

JudgeName = Annotated[
    str, typer.Option("--judge", help="embedded, keyword, hub:NAME (or its id), or hub:NAME=FOLDER with its weights.")
]
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
    from sku.serving.live_session import LiveSession

    wanted = [task for task in (tasks or "").split(",") if task]
    if wanted:
        from sku.evaluation import lm_eval_harness

        lm_eval_harness.check_tasks(wanted)
    sources = PromptSources(
        tuple(harmful),
        tuple(pairs),
        tuple(normal),
        tuple(normal),
        tuple(sounds_harmful),
        str(choices) if choices else None,
        limit,
    )
    decoding = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed)
    session = LiveSession(model)
    rows = session.evaluate(
        variant, sources, side, decoding, judge_name, out.with_suffix(".work"), similarity, report_work
    )
    from sku.evaluation.runner import process_state
    from sku.reporting import result_files

    if not process_state().is_main_process:
        return
    result_files.write_rows(out, rows)
    for one in variant if wanted else ():
        print_json([{"variant": one, "tasks": lm_eval_harness.run_harness(one, wanted, model, limit)}])
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        typer.echo(result_files.rows_as_text(rows))


def judge(
    answers: Annotated[str, typer.Argument(help="JSONL with prompt and answer; - is standard input.")] = "-",
    judge_name: JudgeName = "embedded",
) -> None:
    """Say what became of given answers: adds verdict, score, reason and judge to every line."""
    from sku.data import table as tables
    from sku.judges import registry
    from sku.serving.live_session import LiveSession

    registry.check_judge_name(judge_name)
    with as_file(answers) as path:
        rows = list(tables.read_table(path, ("prompt", "answer")))
    session = LiveSession()
    for start in range(0, len(rows), 16):
        chunk = rows[start : start + 16]
        pairs = [(row.text("prompt"), row.optional("answer") or "") for row in chunk]
        for row, said in zip(chunk, session.judged(pairs, judge_name), strict=True):
            more = {"verdict": said.outcome, "score": said.score, "reason": said.reason, "judge": said.judge}
            print_json([{**row.values, **more}])


def plot(
    rows: Annotated[Path, typer.Argument(help="Result rows, JSONL; or a run folder, or a judge's folder.")],
    out: Annotated[Path, typer.Option(help="figure.html or figure.png.")],
    utility: Annotated[str, typer.Option(help="What stands against harmful rate, such as kl.")] = "kl",
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Bars of outcomes instead.")] = False,
) -> None:
    """Draw harmful rate against utility, the outcomes of every variant, a run's losses, or a judge's agreement."""
    from sku.core import runs
    from sku.judges import cards
    from sku.reporting import image_export, judge_agreement, loss_curves, outcome_bars, result_files, tradeoff_plot

    if (rows / "judge.json").is_file():
        figure = judge_agreement.judge_agreement_figure([cards.embedded_card(rows), cards.keyword_card(rows)])
    elif rows.is_dir():
        figure = loss_curves.loss_figure(runs.read_log(runs.read_run(rows).folder))
    elif outcomes:
        figure = outcome_bars.outcome_figure(result_files.read_rows(rows))
    else:
        figure = tradeoff_plot.tradeoff_figure(result_files.read_rows(rows), utility, shipped=runs.shipped_variants())
    image_export.write_figure(figure, out)
    typer.echo(f"wrote {out}")


def study(
    data: Annotated[Path, typer.Option(help="Folder with the data sets; missing ones are named and left out.")],
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("assets/results"),
    only: Annotated[str | None, typer.Option(help="Train only those whose name contains this.")] = None,
    ship: Annotated[
        bool,
        typer.Option(
            "--ship", help="Put the chosen adapters into assets/adapters, and measure them there on more prompts."
        ),
    ] = False,
) -> None:
    """Train every method, sweep the coefficients, judge, and write the results that the page shows. Resumable."""
    from sku.cli.progress import report_work
    from sku.study import release
    from sku.study.study import run_study as run_study

    chosen = run_study(data, out, only, report_work)
    if ship:
        release.ship_adapters(chosen)
        release.measure_shipped(data, out, report_work)


def train_judge(
    out: Annotated[Path, typer.Option(help="The judge's folder, such as assets/judge.")],
    labelled: Annotated[Path, typer.Option(help="Answers with human scores, CSV in PyRIT's form.")],
    xstest: Annotated[Path | None, typer.Option(help="XSTest completions with labels, CSV.")] = None,
    prompts: Annotated[
        list[str] | None, typer.Option(help="Sets that the rated answers were asked from: NAME:FILE. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    only_cross: Annotated[
        bool, typer.Option("--only-cross", help="Train the cross-encoder alone, beside what the folder holds.")
    ] = False,
) -> None:
    """Train the embedded judge on labelled answers and write its card, measured on held-out prompts."""
    from sku.judges.fitting.build import train_judge

    train_judge(
        out, labelled, xstest, prompts or (), seed, only_cross, lambda line: print(line, flush=True, file=sys.stderr)
    )


def record(
    out: Annotated[Path, typer.Option(help="The record, JSONL.")] = Path("assets/results/answers.jsonl"),
    variant: Variants = ["base", "ga@1", "sku@0.5", "sku@1", "sku@1.5", "sku@2", "sku@2.5", "sku@3", "keep@1", "tv@1"],  # noqa: B006
    max_tokens: Annotated[int, typer.Option(help="New tokens an answer.")] = 96,
) -> None:
    """Record greedy answers to the page's examples, with verdict and KL: what the page shows without weights."""
    import json

    from sku.cli.progress import report_work
    from sku.core import storage
    from sku.serving import recorded_session
    from sku.serving.live_session import LiveSession

    session, lines = LiveSession(), []
    groups = json.loads((storage.ASSETS / "data" / "examples.json").read_text(encoding="utf-8")).values()
    prompts = [example["prompt"] for group in groups for example in group]
    model, wanted = session.load(), ["base", *(one for one in variant if one != "base")]
    for prompt in prompts:
        report_work({"doing": f"recording: {prompt[:50]}"})
        answers = session.answers([prompt], wanted, DecodingConfig(max_new_tokens=max_tokens))
        verdicts = session.verdicts(prompt, [one.text for one in answers])
        far = session.divergence(prompt, answers[0].text, wanted)
        for one, said, kl in zip(answers, verdicts, far, strict=True):
            lines.append(recorded_session.record_line(session.model_name, model.fingerprint, one, said, kl))
    storage.write_atomically(out, "".join(lines))
    typer.echo(f"wrote {len(lines)} answers to {out}")
