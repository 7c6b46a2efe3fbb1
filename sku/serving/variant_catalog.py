"""The list of variants that a screen offers: the base, the shipped adapters, and the visitor's finished runs."""

from __future__ import annotations

from dataclasses import dataclass

from sku.core import ownership, runs
from sku.core.methods import METHODS
from sku.core.runs import Run
from sku.core.variants import BASE

SHIPPED_LABELS = {"sku": "SKU (ours)", "keep": "SKU (paper's sum)"}
"""Labels of shipped adapters that a reader would not tell apart by their method's name."""


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


def _entry(run: Run) -> CatalogEntry:
    manifest, method = run.manifest, METHODS[run.manifest.method]
    preservation = manifest.config.get("preservation") if "preservation" in method.terms else None
    described = ", ".join(filter(None, (method.label, preservation)))
    label = SHIPPED_LABELS.get(run.name, described) if run.shipped else f"{described} ({run.name})"
    return CatalogEntry(
        run.name, label, manifest.method, manifest.default_coefficient, manifest.note or "", preservation
    )
