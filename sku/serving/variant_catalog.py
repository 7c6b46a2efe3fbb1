"""Which variants there are to be asked: the base, the shipped adapters, the visitor's finished runs. Loads none."""

from __future__ import annotations

from dataclasses import dataclass

from sku.core import ownership, runs
from sku.core.methods import METHODS
from sku.core.variants import BASE


@dataclass(frozen=True)
class CatalogEntry:
    """A variant that can be asked, for a list on a screen."""

    name: str
    label: str
    method: str | None
    """None for the base."""
    default_coefficient: float
    note: str
    preservation: str | None = None
    """push, keep or off, where the method has that choice."""


def list_variants(owner: str | None = None) -> list[CatalogEntry]:
    """All of them, base first; with an `owner`, of the runs only theirs."""
    found = [CatalogEntry(BASE, "base", None, 0.0, "the model as it was")]
    mine = [run for run in runs.own_runs() if owner in (None, ownership.owner_of(run.folder))]
    kept = [one for whole in mine for one in (whole, *runs.snapshots_of(whole))]
    for run in [*runs.shipped_runs(), *kept]:
        about = run.manifest
        if run.adapter.is_dir():
            has = "preservation" in METHODS[about.method].terms
            preservation = about.config.get("preservation") if has else None
            label = ", ".join(filter(None, (METHODS[about.method].label, preservation)))
            label += "" if run.shipped else f" ({run.name})"
            found.append(
                CatalogEntry(run.name, label, about.method, about.default_coefficient, about.note or "", preservation)
            )
    return found
