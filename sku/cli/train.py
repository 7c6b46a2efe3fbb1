"""The command that trains."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import AsJson, print_json
from sku.core.config import PRESETS, TrainConfig, find_preset
from sku.core.methods import METHODS


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
    preserve_at: Annotated[str | None, typer.Option(help="acquired (as published) or negated.")] = None,
    opening_weight: Annotated[float | None, typer.Option(help="Of each first token of a kept answer.")] = None,
    snapshot: Annotated[list[int] | None, typer.Option(help="Keep the adapter of this step. Repeatable.")] = None,
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
    from sku.core import runs

    if resume:
        settings = TrainConfig.from_dict(runs.read_run(out).manifest.config)
    elif config is not None:
        settings = TrainConfig.from_dict(json.loads(config.read_text(encoding="utf-8")))
    else:
        settings = find_preset(preset_name).config(
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
            preserve_at=preserve_at,
            opening_weight=opening_weight,
            snapshots=tuple(snapshot) if snapshot else None,
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
    from sku.cli.progress import TrainingView
    from sku.training.trainer import run_training as run_training

    with TrainingView(settings.steps) as view:
        run = run_training(out, settings, view.report, cancelled=lambda: bool(stopped), resume=resume)
    if as_json:
        print_json([dataclasses.asdict(run.manifest)])
    else:
        typer.echo(f"finished in {run.manifest.seconds:.0f} s: {out}\nask it: python -m sku answer PROMPT -v {out}")


def _weights(given: list[str]) -> dict[str, float]:
    pairs = [text.partition("=") for text in given]
    try:
        return {name: float(number) for name, _, number in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is not of the form TERM=NUMBER", param_hint="--weight") from error
