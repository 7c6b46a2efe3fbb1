"""The command `combine`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import AsJson, print_json, stop_at_signals
from sku.core.combining import OPERATIONS, CombineConfig
from sku.data.listing import training_sources

_OPERATION_HELP = " ".join(f"{name}: {operation.meaning}." for name, operation in OPERATIONS.items())


def combine(
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    operation: Annotated[str, typer.Option(help=f"What to compute from the vectors v1, v2, ... {_OPERATION_HELP}")],
    variant: Annotated[
        list[str],
        typer.Option(
            "--variant",
            "-v",
            help="A vector: NAME, NAME@COEFFICIENT or a sum such as ga@0.5+sku@1, with the sign with which it is "
            "served. Repeatable; the order counts for difference and project.",
        ),
    ],
    rank: Annotated[
        int | None,
        typer.Option(
            help="LoRA rank of the result. A smaller rank leaves a part out, and the command says how much.",
            show_default="the sum of the ranks",
        ),
    ] = None,
    density: Annotated[float, typer.Option(help="ties: share of entries that each vector keeps.")] = (
        CombineConfig.density
    ),
    drop: Annotated[float, typer.Option(help="dare: probability with which an entry is dropped.")] = CombineConfig.drop,
    seed: Annotated[int, typer.Option(help="dare: seed of the random draw.")] = CombineConfig.seed,
    kl_budget: Annotated[
        float, typer.Option(help="search: largest KL from base on normal answers, in nats per token.")
    ] = CombineConfig.kl_budget,
    step: Annotated[float, typer.Option(help="search: how much a trial raises one coefficient.")] = CombineConfig.step,
    trials: Annotated[int, typer.Option(help="search: the most trials.")] = CombineConfig.trials,
    pairs: Annotated[
        int, typer.Option(help="search: harmful pairs, and normal pairs, that every trial scores.")
    ] = CombineConfig.pairs,
    side: Annotated[
        str, typer.Option(help="search: side of the data split, train or validation.")
    ] = CombineConfig.side,
    harmful: Annotated[
        list[str], typer.Option(help=f"search: source of harmful pairs: {training_sources('harmful')}. Repeatable.")
    ] = list(CombineConfig.harmful),  # noqa: B006 (typer copies it)
    normal: Annotated[
        list[str], typer.Option(help=f"search: source of normal pairs: {training_sources('normal')}. Repeatable.")
    ] = list(CombineConfig.normal),  # noqa: B006 (typer copies it)
    max_tokens: Annotated[
        int, typer.Option(help="search: most tokens of prompt and answer together.")
    ] = CombineConfig.max_tokens,
    as_json: AsJson = False,
) -> None:
    """Combine the task vectors of runs into a new run.

    Negated and applied runs may be mixed: each counts as the change that serving it makes to the base. The result is
    an ordinary run; its coefficient 1 is exactly what was computed.
    """
    config = CombineConfig(
        operation=operation,
        variants=tuple(variant),
        rank=rank,
        density=density,
        drop=drop,
        seed=seed,
        kl_budget=kl_budget,
        step=step,
        trials=trials,
        pairs=pairs,
        side=side,  # type: ignore[arg-type]  # CombineConfig checks it
        harmful=tuple(harmful),
        normal=tuple(normal),
        max_tokens=max_tokens,
    )
    _run(out, config, as_json)


def _run(out: Path, config: CombineConfig, as_json: bool) -> None:
    cancelled = stop_at_signals()
    from sku.cli.progress import report_work
    from sku.training.combining.combine import combine_runs

    run = combine_runs(out, config, report_work, cancelled)
    if as_json:
        print_json([dataclasses.asdict(run.manifest)])
    else:
        typer.echo(f"{run.manifest.note}\nwrote {out}\nask it with: python -m sku answer PROMPT -v {out}")
