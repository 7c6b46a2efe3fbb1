"""The command line: one function a command, no logic. Heavy imports wait until a command needs them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sku import __version__
from sku.config import PRESETS, DecodingConfig, TrainConfig, preset
from sku.methods import METHODS

app = typer.Typer(
    help="Make a language model forget harmful knowledge (SKU, arXiv:2402.10058), and see what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Variants = Annotated[
    list[str],
    typer.Option("--variant", "-v", help="NAME or NAME@COEFFICIENT: base, a shipped adapter, a run. Repeatable."),
]
Model = Annotated[str, typer.Option(help="Base model: smollm2-135m, a hub id (owner/name), or a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


class Form(StrEnum):
    """What `export` writes."""

    adapter = "adapter"
    model = "model"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def models(as_json: AsJson = False) -> None:
    """List base models and presets: size, memory, licence, and what is already here."""
    from sku.provision import BASES, present

    rows: list[dict[str, Any]] = [
        {
            "model": base.name,
            "parameters": base.parameters,
            "serve_gb": round(base.serve_bytes / 1e9, 1),
            "train_gb": round(base.train_bytes / 1e9, 1),
            "dtype": base.dtype,
            "licence": base.licence,
            "source": base.source,
            "here": present(base.name),
            "presets": [name for name, p in PRESETS.items() if p.config().model == base.name],
        }
        for base in BASES.values()
    ]
    if as_json:
        _print_json(rows)
        return
    typer.echo("base model                    parameters  serve   train   here  licence, source")
    for row in rows:
        size, serve, train_gb = f"{row['parameters'] / 1e6:.0f} M", f"{row['serve_gb']} GB", f"{row['train_gb']} GB"
        here = "yes" if row["here"] else "no"
        typer.echo(
            f"{row['model']:<28}  {size:>10}  {serve:<7} {train_gb:<7} {here:<5} {row['licence']}, {row['source']}"
        )
    typer.echo("\nAny hub id or local folder works too. Memory is an estimate.\n\npreset        base, what it is")
    for name, found in PRESETS.items():
        typer.echo(f"{name:<12}  {found.config().model}: {found.note}")
    typer.echo("\nmethods: " + ", ".join(METHODS))


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    method: Annotated[str, typer.Option(help="One of: " + ", ".join(METHODS))] = "sku",
    preset_name: Annotated[str, typer.Option("--preset", help="One of: " + ", ".join(PRESETS))] = "quick",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    config: Annotated[Path | None, typer.Option(help="A JSON file with all settings, instead of a preset.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model: smollm2-135m, a hub id, or a folder.")] = None,
    harmful: Annotated[
        list[str] | None,
        typer.Option(help="Source of harmful pairs: bundled, saferlhf[:FILE], advbench:FILE, labelled:FILE, a file."),
    ] = None,
    normal: Annotated[
        list[str] | None,
        typer.Option(help="Source of normal pairs: self[:SOURCE], bundled, truthfulqa[:FILE], a file."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Prompts a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the first step; falls linearly to 0.")] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None,
    alpha: Annotated[int | None, typer.Option(help="LoRA alpha.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Module name to adapt, such as q_proj. Repeatable.")] = None,
    preservation: Annotated[str | None, typer.Option(help="push (as published), keep or off.")] = None,
    answers: Annotated[int | None, typer.Option(help="Random answers a prompt (K).")] = None,
    weight: Annotated[list[str] | None, typer.Option(help="TERM=NUMBER, replaces a term's weight. Repeatable.")] = None,
    harmful_limit: Annotated[int | None, typer.Option(help="Use so many harmful pairs.")] = None,
    normal_limit: Annotated[int | None, typer.Option(help="Use so many normal pairs.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of prompt and answer.")] = None,
    like: Annotated[str | None, typer.Option(help="For method random: the adapter whose norms it takes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every draw.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train stage 1 of SKU, or a baseline, into a run folder. Ctrl-C stops it so that --resume can continue."""
    from sku import runs

    if resume:
        settings = TrainConfig.from_dict(runs.read(out).manifest.config)
    elif config is not None:
        settings = TrainConfig.from_dict(json.loads(config.read_text(encoding="utf-8")))
    else:
        settings = preset(preset_name).config(
            method=method,
            model=model,
            harmful=tuple(harmful) if harmful else None,
            normal=tuple(normal) if normal else None,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            rank=rank,
            alpha=alpha,
            targets=tuple(target) if target else None,
            preservation=preservation,
            disassociation_answers=answers,
            weights=_weights(weight) if weight else None,
            harmful_limit=harmful_limit,
            normal_limit=normal_limit,
            max_tokens=max_tokens,
            like=like,
            seed=seed,
        )
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(1) if not stopped else sys.exit(130))
    from sku.console import TrainingView
    from sku.training import train as run_training

    try:
        with TrainingView(settings.steps) as view:
            run = run_training(out, settings, view.report, cancelled=lambda: bool(stopped), resume=resume)
    except KeyboardInterrupt:
        typer.echo("stopped before the first step; nothing is lost", err=True)
        raise typer.Exit(130) from None
    if run.manifest.status == "cancelled":
        typer.echo(f"stopped after step {run.manifest.step}; continue with: train --resume --out {out}", err=True)
        raise typer.Exit(130)
    if as_json:
        _print_json([dataclasses.asdict(run.manifest)])
    else:
        typer.echo(f"finished in {run.manifest.seconds:.0f} s: {out}\nask it: python -m sku answer PROMPT -v {out}")


@app.command()
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
    from sku.session import LiveSession

    config = DecodingConfig(max_new_tokens=max_tokens, temperature=temperature, seed=seed, samples=samples)
    text = sys.stdin.read() if prompt == "-" else prompt
    written = LiveSession(model).answers([text], variant, config)
    if as_json:
        _print_json([dataclasses.asdict(one) for one in written])
        return
    for one in written:
        sample = f" sample {one.sample}" if samples > 1 else ""
        typer.echo(f"--- {one.variant}{sample} ({one.tokens} tokens, {one.stopped})\n{one.text}\n")


@app.command()
def score(
    pairs: Annotated[str, typer.Argument(help="JSONL with prompt and answer; - is standard input.")],
    variant: Variants = ["base", "ga", "sku"],  # noqa: B006 (typer copies it)
    model: Model = "smollm2-135m",
    max_tokens: Annotated[int, typer.Option(help="Tokens of prompt and answer; a longer answer is cut.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Log-probability of given answers under variants, in nats a token."""
    from sku.data import table as tables
    from sku.session import LiveSession

    with _as_file(pairs) as path:
        given = [(row.text("prompt"), row.text("answer")) for row in tables.rows(path, ("prompt", "answer"))]
    table = LiveSession(model).score(given, variant, max_tokens)
    for (prompt, text), numbers in zip(given, table, strict=True):
        scores = dict(zip(variant, numbers, strict=True))
        if as_json:
            _print_json([{"prompt": prompt, "answer": text, "log_prob_per_token": scores}])
        else:
            typer.echo("  ".join(f"{name} {number:.4f}" for name, number in scores.items()) + f"  {prompt[:60]}")


@app.command()
def export(
    variant: Annotated[str, typer.Option("--variant", "-v", help="NAME or NAME@COEFFICIENT.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    form: Annotated[
        Form, typer.Option("--as", help="A PEFT adapter with sign and coefficient baked in, or a merged checkpoint.")
    ] = Form.adapter,
    model: Annotated[str | None, typer.Option(help="The base, if it is not the one the run names.")] = None,
) -> None:
    """Write a variant that anyone can load without this project."""
    from sku.export import export as write

    typer.echo(f"wrote {write(variant, out, form.value, model)}")


@contextmanager
def _as_file(name: str) -> Iterator[Path]:
    """The file argument `name`, where `-` is standard input."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard-input.jsonl"
        path.write_bytes(sys.stdin.buffer.read())
        yield path


def _weights(given: list[str]) -> dict[str, float]:
    pairs = [text.partition("=") for text in given]
    try:
        return {name: float(number) for name, _, number in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is not of the form TERM=NUMBER", param_hint="--weight") from error


def _print_json(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


def _interrupted(*_: object) -> NoReturn:
    sys.exit(130)


def main() -> None:
    """Run a command; a failure is one line on standard error and exit code 1."""
    # Threads that spin while they wait starve each other when a training and an answer share the cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    signal.signal(signal.SIGINT, _interrupted)
    warnings.simplefilter("ignore", FutureWarning)  # of libraries, about themselves
    try:
        app(prog_name="python -m sku")
    except (ValueError, OSError, ArithmeticError, RuntimeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {said}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
