"""The command that trains."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sku.cli.options import AsJson, print_json
from sku.core.config import PRESETS, TrainConfig, find_preset
from sku.core.jsonl import parse_json
from sku.core.methods import METHODS
from sku.core.text_lines import BYTE_ORDER_MARK, decode_utf8
from sku.data.listing import training_sources

_ABOUT_SET = (
    "KEY=VALUE: any other setting, such as --set clip=null or --set checkpoint_every=5. Repeatable. Settings: "
    + ", ".join(field.name for field in dataclasses.fields(TrainConfig))
    + "."
)
_HARMFUL = f"Source of harmful pairs: {training_sources('harmful')}. Repeatable."
_NORMAL = f"Source of normal pairs: {training_sources('normal')}. Repeatable."


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    method: Annotated[str, typer.Option(help="One of: " + ", ".join(METHODS))] = "sku",
    preset_name: Annotated[str, typer.Option("--preset", help="One of: " + ", ".join(PRESETS))] = "quick",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    config: Annotated[Path | None, typer.Option(help="A JSON file with all settings, instead of a preset.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model: smollm2-135m, a hub id, or a folder.")] = None,
    harmful: Annotated[list[str] | None, typer.Option(help=_HARMFUL)] = None,
    normal: Annotated[list[str] | None, typer.Option(help=_NORMAL)] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Prompts a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the first step; falls linearly to 0.")] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None,
    alpha: Annotated[int | None, typer.Option(help="LoRA alpha.")] = None,
    targets: Annotated[list[str] | None, typer.Option("--target", help="Module to adapt (q_proj). Repeatable.")] = None,
    preservation: Annotated[str | None, typer.Option(help="push (as published), keep or off.")] = None,
    preserve_at: Annotated[str | None, typer.Option(help="acquired (as published) or negated.")] = None,
    opening_weight: Annotated[float | None, typer.Option(help="Of each first token of a kept answer.")] = None,
    snapshots: Annotated[
        list[int] | None, typer.Option("--snapshot", help="Keep the adapter of this step. Repeatable.")
    ] = None,
    disassociation_answers: Annotated[int | None, typer.Option("--answers", help="Random answers a prompt.")] = None,
    weights: Annotated[
        list[str] | None, typer.Option("--weight", help="TERM=NUMBER, replaces a term's weight. Repeatable.")
    ] = None,
    harmful_limit: Annotated[int | None, typer.Option(help="Use so many harmful pairs.")] = None,
    normal_limit: Annotated[int | None, typer.Option(help="Use so many normal pairs.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of prompt and answer.")] = None,
    like: Annotated[str | None, typer.Option(help="For method random: the adapter whose norms it takes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every draw.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help=_ABOUT_SET)] = None,
    as_json: AsJson = False,
) -> None:
    """Train stage 1 of SKU, or a baseline, into a run folder. Ctrl-C stops it so that --resume can continue."""
    wanted = _config(context)
    _run(out, wanted, resume, as_json)


def _config(context: typer.Context) -> TrainConfig:
    """The training that the flags ask for: of a run, of a file, or of a preset, with the flags' own settings on top."""
    flags = context.params
    given = [name for name in flags if context.get_parameter_source(name).name == "COMMANDLINE"]  # type: ignore[union-attr]
    changes = {name: _value(name, flags[name]) for name in given if name in _settings_of_flags()}
    if flags["resume"]:
        others = [name for name in ("preset_name", "config", "settings") if name in given]
        return _of_run(flags["out"], [*changes, *others])
    if flags["config"] is not None and "preset_name" in given:
        raise typer.BadParameter("a preset and a file of settings came; give one of the two", param_hint="--config")
    if flags["config"] is not None:
        config = _of_file(flags["config"])
        weights = {"weights": config.weights | changes["weights"]} if "weights" in changes else {}
        config = dataclasses.replace(config, **changes | weights)
    else:
        config = find_preset(flags["preset_name"]).config(**{"method": flags["method"]} | changes)
    return config.changed(flags["settings"] or ())


def _of_run(out: Path, given: list[str]) -> TrainConfig:
    from sku.core import runs

    if given:
        raise typer.BadParameter(
            f"a resumed run keeps the settings it began with, but {', '.join(given)} came; leave them out, or train "
            "anew in another folder",
            param_hint="--resume",
        )
    return TrainConfig.from_dict(runs.read_run(out).manifest.config)


def _of_file(path: Path) -> TrainConfig:
    if not path.is_file():
        raise typer.BadParameter(
            f"there is no file {str(path)!r}; give the JSON file of settings", param_hint="--config"
        )
    text = decode_utf8(path.read_bytes(), str(path)).removeprefix(BYTE_ORDER_MARK)
    return TrainConfig.from_dict(parse_json(text, str(path)))


def _settings_of_flags() -> set[str]:
    return {field.name for field in dataclasses.fields(TrainConfig)}


def _value(name: str, value: Any) -> Any:
    """A flag's value as the setting has it."""
    if name == "weights":
        return _weights(value)
    return tuple(value) if isinstance(value, list) else value


def _weights(given: list[str]) -> dict[str, float]:
    pairs = [text.partition("=") for text in given]
    try:
        return {name: float(number) for name, _, number in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is not of the form TERM=NUMBER", param_hint="--weight") from error


def _run(out: Path, config: TrainConfig, resume: bool, as_json: bool) -> None:
    cancelled = _stop_at_signals()
    from sku.cli.progress import TrainingView
    from sku.training.trainer import run_training

    with TrainingView(config.steps) as view:
        run = run_training(out, config, view.report, cancelled=cancelled, resume=resume)
    if as_json:
        print_json([dataclasses.asdict(run.manifest)])
    else:
        typer.echo(f"finished in {run.manifest.seconds:.0f} s: {out}\nask it: python -m sku answer PROMPT -v {out}")


def _stop_at_signals() -> Callable[[], bool]:
    """Whether Ctrl-C or a termination came; a second one ends the process at once."""
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(1) if not stopped else sys.exit(130))
    return lambda: bool(stopped)
