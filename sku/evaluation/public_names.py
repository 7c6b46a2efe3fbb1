"""Result rows that name a run and a base by the last name of its folder, so that no path of this machine leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sku.core import runs
from sku.core.peft_folders import is_hub_id
from sku.core.records import ResultRow
from sku.core.runs import SHIPPED_ADAPTERS, Run
from sku.core.storage import home
from sku.core.variants import BASE, VariantSpec, parse_variant
from sku.models import pretrained

_HASH_DIGITS = 8


def with_public_names(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows with names for paths. Everything else stays, so a measurement goes on from its work folder as before.

    Where a name would mean another run too, in these rows or on this machine, it ends with a hash of the weights.
    """
    parts = dict.fromkeys(name for row in rows for name in parse_variant(row.variant).names)
    named = {name: run for name in parts if (run := _run_at_path(name)) is not None}
    public = _public_names(named, parts)
    return [_renamed(row, public) for row in rows]


def public_name(run: Run) -> str:
    """The last name of a run's folder; with that of the run, if it is a snapshot of one."""
    folder = run.folder.resolve()
    is_snapshot = folder.name.startswith("step-") and (folder.parent / "run.json").is_file()
    name = f"{folder.parent.name}/{folder.name}" if is_snapshot else folder.name
    return name.replace("+", "-").replace("@", "-").replace(":", "-")  # which mean something in a variant


def _public_names(named: Mapping[str, Run], parts: Iterable[str]) -> dict[str, str]:
    """Maps the path of every run in `named` to its public name; `parts` are all names in the rows."""
    wanted = {name: public_name(run) for name, run in named.items()}
    kept = {name for name in parts if name not in named}
    public = {}
    for name, run in named.items():
        hashes = {named[other].weights_hash for other, text in wanted.items() if text == wanted[name]}
        is_taken = wanted[name] in kept or wanted[name] == BASE or _is_another(wanted[name], run)
        ending = f"-{run.weights_hash[:_HASH_DIGITS]}" if is_taken or len(hashes) > 1 else ""
        public[name] = wanted[name] + ending
    return public


def _run_at_path(name: str) -> Run | None:
    """The run that a part of a variant gives by a path; None for anything else."""
    if "/" not in name.replace("\\", "/") or is_hub_id(name):
        return None
    try:
        return runs.find_run(name)
    except (ValueError, OSError):  # the folder is gone since
        return None


def _is_another(name: str, run: Run) -> bool:
    """Whether another run is known by this name on this machine, so that the name would open that one."""
    places = (folder / name for folder in (SHIPPED_ADAPTERS, home() / "runs"))
    known = next((place for place in places if (place / "run.json").is_file()), None)
    return known is not None and known.resolve() != run.folder.resolve()


def _renamed(row: ResultRow, public: Mapping[str, str]) -> ResultRow:
    row = replace(row, model=pretrained.public_name(row.model))
    spec = parse_variant(row.variant)
    parts = tuple(replace(part, name=public.get(part.name, part.name)) for part in spec.parts)
    if parts == spec.parts:
        return row
    run = "+".join(dict.fromkeys(part.name for part in parts))
    return replace(row, variant=str(VariantSpec(parts)), run=row.run if row.run == BASE else run)
