"""The command `models`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sku.cli.options import AsJson, print_json
from sku.core.config import PRESETS
from sku.core.errors import Unavailable
from sku.core.methods import METHODS

if TYPE_CHECKING:
    from sku.core.compute_threads import ThreadChoice
    from sku.core.servers import Server
    from sku.models.base_cost import BaseCost
    from sku.models.matmul_choice import MatmulStatus


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A base of the list, a hub id (owner/name) or a folder: what it needs, before anything is fetched.",
            show_default="list all",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the base models, the presets, the methods and the servers; or tell what one base model needs.

    Shows the size, memory, download, licence and source of every base model, and whether it is on this machine. Also
    shows which matrix products this machine uses for small batches, and with how many threads the page computes.
    """
    if name is not None:
        _print_one(name, as_json)
        return
    from sku.core.compute_threads import last_choice, waiting
    from sku.core.servers import read_servers
    from sku.models.arithmetic import arithmetic_status
    from sku.models.matmul_choice import matmul_status
    from sku.models.pretrained import KNOWN_BASES, dtype_of, is_present

    matmul, servers, choice, arithmetic = matmul_status(), read_servers(), last_choice(), arithmetic_status()
    rows: list[dict[str, Any]] = [
        {
            "model": base.name,
            "parameters": base.parameters,
            "serve_gb": _gb(base.cost.serve_bytes(dtype_of(base.name))),
            "train_gb": _gb(base.train_bytes),
            "download_gb": _gb(base.cost.download_bytes),
            "download_minutes": round(base.cost.download_minutes, 1),
            "dtype": dtype_of(base.name),
            "licence": base.licence,
            "source": base.source,
            "here": is_present(base.name),
            "presets": [name for name, p in PRESETS.items() if p.config().model == base.name],
        }
        for base in KNOWN_BASES.values()
    ]
    if as_json:
        threads = {"waiting": waiting(), "page": choice and dataclasses.asdict(choice)}
        arithmetic_row = {"arithmetic": dataclasses.asdict(arithmetic)}
        told = [{"threads": threads}, arithmetic_row, {"matmul": dataclasses.asdict(matmul)}]
        print_json([*rows, *map(_server_row, servers.values()), *told])
        return
    typer.echo("base model                    parameters  serve   train   download  local licence, source")
    for row in rows:
        size, serve, train_gb = f"{row['parameters'] / 1e6:.0f} M", f"{row['serve_gb']} GB", f"{row['train_gb']} GB"
        local, download = "yes" if row["here"] else "no", f"{row['download_gb']} GB"
        typer.echo(
            f"{row['model']:<28}  {size:>10}  {serve:<7} {train_gb:<7} {download:<9} {local:<5} "
            f"{row['licence']}, {row['source']}"
        )
    typer.echo(
        "\nAny hub id or local folder works too. Memory is an estimate; `models NAME` tells more, also in 8 and 4 bits."
        "\n\n"
        "preset        base model and description"
    )
    for name, preset in PRESETS.items():
        typer.echo(f"{name:<12}  {preset.config().model}: {preset.note}")
    typer.echo("\nmethods: " + ", ".join(METHODS))
    for server in servers.values():
        typer.echo(f"\n{server.variant}: {server.model or 'the only model of the server'}, {server.url}")
    _print_matmul(matmul)
    library = f"onnxruntime {arithmetic.onnxruntime}" if arithmetic.onnxruntime else "onnxruntime is not installed"
    typer.echo(
        f"arithmetic of decoding steps, for bases on a 4-bit grid: {arithmetic.page} on the page, "
        f"{arithmetic.commands} in commands ({library})"
    )
    _print_threads(waiting(), choice)


def _print_one(name: str, as_json: bool) -> None:
    """What one base needs.

    Raises:
        Unavailable: if neither a table, nor a folder, nor the hub knows it.
    """
    from sku.models import base_cost
    from sku.models.precision import BYTES_PER_PARAMETER
    from sku.models.pretrained import cost_of

    cost = cost_of(name)
    if cost is None:
        raise Unavailable(
            f"{name} is no base of the list and no folder here, and the hub says nothing of it; check the name, or go "
            "online"
        )
    hours = _preset_hours(name, cost)
    if as_json:
        precisions = {
            one: {"serve_gb": _gb(cost.serve_bytes(one)), "train_gb": _gb(cost.train_bytes(one)),
                  "answer_seconds": round(cost.answer_seconds(one), 2)}
            for one in BYTES_PER_PARAMETER
        }  # fmt: skip
        print_json([{
            "model": name, "parameters": cost.parameters, "memory_gb": _gb(base_cost.machine_bytes()),
            "download_gb": _gb(cost.download_bytes), "download_minutes": round(cost.download_minutes, 1),
            "precisions": precisions, "preset_hours": {one: round(value, 2) for one, value in hours.items()},
        }])  # fmt: skip
        return
    typer.echo(f"{name}: {cost.parameters / 1e6:.0f} M parameters")
    typer.echo("\n".join(base_cost.cost_lines(cost)))
    for preset, value in hours.items():
        typer.echo(f"preset {preset}: about {value:.1f} hours on this processor")
    typer.echo(
        "These are estimates for the processor as it is loaded now; a GPU is much faster. SKU_PRECISION chooses how "
        "the base is loaded."
    )


def _preset_hours(name: str, cost: BaseCost) -> dict[str, float]:
    """The time of every preset on the base: that of a past run of its method where there is one."""
    from sku.serving.estimates import estimate_training

    configs = {preset: PRESETS[preset].config() for preset in PRESETS}
    timed = {preset: estimate_training(config).seconds for preset, config in configs.items() if config.model == name}
    return {
        preset: cost.train_hours(configs[preset]) if seconds is None else seconds / 3600
        for preset, seconds in timed.items()
    }


def _gb(size: float) -> float:
    return round(size / 1e9, 1)


def _server_row(server: Server) -> dict[str, Any]:
    return {"server": server.variant, "url": server.url, "model": server.model, "key": bool(server.secret)}


def _print_matmul(status: MatmulStatus) -> None:
    origin = f"forced to {status.forced}" if status.forced else status.origin
    typer.echo(f"\nmatrix products for small batches ({status.processor}, torch {status.torch}): {origin}")
    for choice in status.remembered:
        typer.echo(
            f"  threads {choice.key.threads}, weight shapes {choice.key.weights}: "
            f"{choice.matmuls.up_to_3_rows} up to 3 rows, {choice.matmuls.up_to_14_rows} up to 14"
        )


def _print_threads(waiting: str, choice: ThreadChoice | None) -> None:
    if choice is None:
        chosen = "the page has not measured how many are fastest on this machine"
    else:
        times = ", ".join(f"{1000 * one:.0f} ms with {n}" for n, one in sorted(choice.seconds_per_token.items()))
        chosen = f"the page uses {choice.threads} of {choice.most} (a token in three columns: {times})"
    typer.echo(f"\nthreads: idle ones wait {waiting}; {chosen}")
