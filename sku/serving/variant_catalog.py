"""The list of variants that a screen offers: the base, the shipped adapters, and the visitor's finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sku.core import ownership, runs
from sku.core.methods import method_of_adapter
from sku.core.peft_folders import is_hub_id
from sku.core.runs import Run
from sku.core.variants import BASE, parse_variant


@dataclass(frozen=True)
class CatalogEntry:
    """A variant in the list."""

    name: str
    label: str
    method: str | None
    """None for the base."""
    default_coefficient: float
    note: str
    preservation: str | None = None
    """push, keep or off; None if the method has no preservation term."""


def list_variants(owner: str | None = None) -> list[CatalogEntry]:
    """All variants, base first; with an `owner`, only the runs of that visitor. Loads no weights."""
    own = [run for run in runs.own_runs() if owner in (None, ownership.owner_of(run.folder))]
    with_snapshots = [one for run in own for one in (run, *runs.snapshots_of(run))]
    finished = [run for run in (*runs.shipped_runs(), *with_snapshots) if run.adapter.is_dir()]
    return [CatalogEntry(BASE, "base", None, 0.0, "the model as it was"), *map(_entry, finished)]


def with_named_adapters(text: str, entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    """The entries, and one for every adapter that the variant `text` names by a path or a hub id.

    Raises:
        ValueError: if such an adapter cannot be had.
    """
    names = {entry.name for entry in entries}
    try:
        wanted = [name for name in parse_variant(text).names if name not in names and "/" in name]
        found = [(name, runs.find_run(name)) for name in wanted if Path(name).is_dir() or is_hub_id(name)]
    except OSError as error:
        raise ValueError(str(error)) from error
    return [*entries, *(dataclasses.replace(_entry(run), name=name) for name, run in found)]


def _entry(run: Run) -> CatalogEntry:
    manifest, method = run.manifest, method_of_adapter(run.manifest.method)
    preservation = manifest.config.get("preservation") if "preservation" in method.terms else None
    label = ", ".join(filter(None, (method.label, preservation))) + ("" if run.shipped else f" ({run.name})")
    return CatalogEntry(
        run.name, label, manifest.method, manifest.default_coefficient, manifest.note or "", preservation
    )
