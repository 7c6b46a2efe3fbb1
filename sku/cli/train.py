"""The command `train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sku.cli.options import AsJson, print_json, stop_at_signals
from sku.core.config import PRESETS, TrainConfig, find_preset
from sku.core.jsonl import read_json
from sku.core.methods import METHODS, USES_LIKE
from sku.core.ownership import JOB
from sku.data.listing import training_sources

_SET_HELP = (
    "Any setting as KEY=VALUE, such as clip=null or checkpoint_every=5. Repeatable. The settings are "
    + ", ".join(field.name for field in dataclasses.fields(TrainConfig))
    + "."
)
_HARMFUL = f"Source of harmful pairs: {training_sources('harmful')}. Repeatable."
_NORMAL = f"Source of normal pairs: {training_sources('normal')}. Repeatable."


_DEFAULT_PRESET = "quick"


def _default_of(setting: str) -> str:
    """The default of an option in the help text. Presets differ in it, so the value of the default preset is shown."""
    value = getattr(find_preset(_DEFAULT_PRESET).config(), setting)
    shown = ", ".join(value) if isinstance(value, tuple) else value
    return f"{shown} with --preset {_DEFAULT_PRESET}"


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    method: Annotated[
        str | None,
        typer.Option(help="The method to train. One of: " + ", ".join(METHODS), show_default=_default_of("method")),
    ] = None,
    preset_name: Annotated[
        str, typer.Option("--preset", help="The settings to start from. One of: " + ", ".join(PRESETS))
    ] = _DEFAULT_PRESET,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, with its own settings.")] = False,
    config: Annotated[Path | None, typer.Option(help="A JSON file of settings, to use instead of a preset.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The base model: smollm2-135m, a hub id (owner/name), or a folder.", show_default=_default_of("model")
        ),
    ] = None,
    harmful: Annotated[list[str] | None, typer.Option(help=_HARMFUL, show_default=_default_of("harmful"))] = None,
    normal: Annotated[list[str] | None, typer.Option(help=_NORMAL, show_default=_default_of("normal"))] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of optimiser steps.", show_default=_default_of("steps"))
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Prompts per step, for each kind of row.", show_default=_default_of("batch_size"))
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of the first step. It falls linearly to 0.", show_default=_default_of("learning_rate")
        ),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank.", show_default=_default_of("rank"))] = None,
    alpha: Annotated[
        int | None,
        typer.Option(help="LoRA alpha. The vector is scaled by alpha / rank.", show_default=_default_of("alpha")),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help="Name of a module to adapt. Repeatable.", show_default=_default_of("targets")),
    ] = None,
    preservation: Annotated[
        str | None,
        typer.Option(
            help="What preservation does on normal text: push away from the base (as published), keep close to it, or "
            "off.",
            show_default=_default_of("preservation"),
        ),
    ] = None,
    preserve_at: Annotated[
        str | None,
        typer.Option(
            help="The model in which normal answers are preserved: acquired, base + tau (as published), or negated, "
            "base - tau.",
            show_default="set by the method",
        ),
    ] = None,
    opening_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight in preservation of each of an answer's first four tokens; later tokens have weight 1.",
            show_default=_default_of("opening_weight"),
        ),
    ] = None,
    snapshots: Annotated[
        list[int] | None,
        typer.Option("--snapshot", help="Save the adapter after this step as a run of its own. Repeatable."),
    ] = None,
    disassociation_answers: Annotated[
        int | None,
        typer.Option(
            "--answers",
            help="Random answers per harmful prompt, in random disassociation.",
            show_default=_default_of("disassociation_answers"),
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight",
            help="Weight of a loss term, as TERM=NUMBER. Repeatable.",
            show_default="set by the method and the preset",
        ),
    ] = None,
    harmful_limit: Annotated[
        int | None, typer.Option(help="The most harmful pairs to use from each source.", show_default="all")
    ] = None,
    normal_limit: Annotated[
        int | None,
        typer.Option(help="The most normal pairs to use from each source.", show_default=_default_of("normal_limit")),
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            help="Category of harmful pairs to train on, such as hacking. Repeatable. One run for each category gives "
            "one coefficient for each; combine them with combine, or as a sum such as hacking@1+drugs@0.5.",
            show_default="all",
        ),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Category of harmful pairs not to train on, such as hacking. Repeatable. Measure it with evaluate "
            "--category.",
            show_default="none",
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="The most tokens of prompt and answer together. Longer answers are cut off.",
            show_default=_default_of("max_tokens"),
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="For --method random: the adapter whose norms the random vector gets. For --method gated: the run "
            "that gets a gate."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of every random draw.", show_default=str(TrainConfig.seed))
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help=_SET_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Train stage 1 of SKU, or a baseline, into a run folder.

    Settings come from the preset, then from the method, then from the options given here. Ctrl-C stops the training;
    --resume continues it.
    """
    _run(out, _config(context), resume, as_json)


def _names_given_once(flag: str, texts: Sequence[str] | None) -> list[str]:
    """The names in the `NAME=VALUE` of a flag. None may be given twice."""
    names = [text.partition("=")[0].strip() for text in texts or ()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise typer.BadParameter(f"{twice[0]} is given twice; leave out one of them", param_hint=flag)
    return names


def _config(context: typer.Context) -> TrainConfig:
    """The settings that the flags ask for: those of a run, a file or a preset, changed by the other flags."""
    flags = context.params
    given = [name for name in flags if context.get_parameter_source(name).name == "COMMANDLINE"]  # type: ignore[union-attr]
    changes = {name: _value(name, flags[name]) for name in given if name in _settings_of_flags()}
    flag_of = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    set_names = _names_given_once("--set", flags["settings"])
    _names_given_once("--weight", flags["weights"])
    for name in set_names:
        if name in changes:
            raise typer.BadParameter(f"{flag_of[name]} sets {name} too; leave out one of them", param_hint="--set")
    if flags["resume"]:
        extra = [flag_of[name] for name in given if name in changes or name in ("preset_name", "config", "settings")]
        return _config_of_run(flags["out"], extra)
    if flags["config"] is not None:
        if "preset_name" in given:
            raise typer.BadParameter("give either --preset or --config, not both", param_hint="--config")
        config = _config_of_file(flags["config"])
        weights = {"weights": config.weights | changes["weights"]} if "weights" in changes else {}
        config = dataclasses.replace(config, **changes | weights)
    else:
        config = find_preset(flags["preset_name"]).config(**changes)
    config = config.changed(flags["settings"] or ())
    if "like" in given and config.method not in USES_LIKE:
        raise typer.BadParameter(
            f"only --method {' and '.join(USES_LIKE)} use it, not {config.method}; leave it out", param_hint="--like"
        )
    return config


def _config_of_run(out: Path, given: list[str]) -> TrainConfig:
    from sku.core import runs

    if given:
        raise typer.BadParameter(
            f"a resumed run keeps its settings, but these were given: {', '.join(given)}; leave them out, or start a "
            "new run in another folder",
            param_hint="--resume",
        )
    return TrainConfig.from_dict(runs.read_run(out).manifest.config)


def _config_of_file(path: Path) -> TrainConfig:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; give --config the JSON file of settings")
    return TrainConfig.from_dict(read_json(path))


def _settings_of_flags() -> set[str]:
    return {field.name for field in dataclasses.fields(TrainConfig)}


def _value(name: str, value: Any) -> Any:
    """The value of a setting from the value of its flag."""
    if name == "weights":
        return _weights(value)
    return tuple(value) if isinstance(value, list) else value


def _weights(given: list[str]) -> dict[str, float]:
    pairs = [text.partition("=") for text in given]
    try:
        return {name: float(number) for name, _, number in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"{given} is not of the form TERM=NUMBER", param_hint="--weight") from error


def _check_own_folder(out: Path) -> None:
    """Check that a run would not be written among other files, as it is if a shell leaves --out empty.

    Raises:
        ValueError: if the folder holds files that are no run's.
    """
    others = [path.name for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if others and not {"run.json", JOB} & set(others):
        raise ValueError(f"--out {out} holds other files ({len(others)}, such as {min(others)}); name a new folder")


def _run(out: Path, config: TrainConfig, resume: bool, as_json: bool) -> None:
    _check_own_folder(out)
    cancelled = stop_at_signals()
    from sku.cli.progress import TrainingView
    from sku.models.distributed import training_processes
    from sku.training.trainer import run_training

    with TrainingView(config.steps) as view:
        run = run_training(out, config, view.report, cancelled=cancelled, resume=resume)
    if not training_processes().is_main_process:
        return
    if as_json:
        print_json([dataclasses.asdict(run.manifest)])
    else:
        typer.echo(
            f"finished in {run.manifest.seconds:.0f} s: {out}\nask it with: python -m sku answer PROMPT -v {out}"
        )
