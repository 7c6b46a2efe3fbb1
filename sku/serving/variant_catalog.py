"""The list of variants that a screen offers: the base, the shipped adapters, and the visitor's finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sku.core import ownership, runs
from sku.core.methods import method_of_adapter
from sku.core.peft_folders import PEFT_CONFIG, is_hub_id
from sku.core.run_names import given_name
from sku.core.runs import Manifest, Run
from sku.core.servers import Server
from sku.core.variants import BASE, REMOTE, parse_variant

SHIPPED_LABELS = {"sku": "SKU (ours)", "keep": "SKU (paper's sum)"}
"""Labels of shipped adapters that a reader would not tell apart by their method's name."""


@dataclass(frozen=True)
class CatalogEntry:
    """A variant in the list."""

    name: str
    label: str
    method: str | None
    """None for the base, `remote` for a model behind a server."""
    default_coefficient: float
    note: str
    preservation: str | None = None
    """push, keep or off; None if the method has no preservation term."""


def list_variants(owner: str | None = None, fits: Callable[[Run], bool] = lambda _: True) -> list[CatalogEntry]:
    """All variants, base first. Loads no weights.

    Args:
        owner: the visitor whose runs are listed; None lists all.
        fits: says whether a run was trained on the base that is loaded. Others are left out.
    """
    own = [run for run in runs.own_runs() if owner in (None, ownership.owner_of(run.folder))]
    with_snapshots = [one for run in own for one in (run, *runs.snapshots_of(run))]
    finished = [run for run in (*runs.shipped_runs(), *with_snapshots) if run.adapter.is_dir() and fits(run)]
    return [CatalogEntry(BASE, "base", None, 0.0, "the model as it was"), *map(_entry, finished)]


def server_entry(server: Server) -> CatalogEntry:
    """The model behind a server."""
    label = f"{server.name} (server{': ' + server.model if server.model else ''})"
    return CatalogEntry(server.variant, label, REMOTE, 0.0, "answers from another machine; no weights here")


def with_named_adapters(text: str, entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    """The entries, and one for every adapter that the variant `text` names by a path or a hub id.

    Raises:
        ValueError: if such an adapter cannot be had.
    """
    names = {entry.name for entry in entries}
    try:
        wanted = [name for name in parse_variant(text).names if name not in names and "/" in name]
        found = [(name, runs.find_run(name)) for name in wanted if is_hub_id(name) or _holds_adapter(Path(name))]
    except OSError as error:
        raise ValueError(str(error)) from error
    return [*entries, *(dataclasses.replace(_entry(run), name=name) for name, run in found)]


def _holds_adapter(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("run.json", PEFT_CONFIG))


def _entry(run: Run) -> CatalogEntry:
    manifest, method = run.manifest, method_of_adapter(run.manifest.method)
    preservation = manifest.config.get("preservation") if "preservation" in method.terms else None
    described = ", ".join(filter(None, (method.label, preservation)))
    if run.shipped:
        label = SHIPPED_LABELS.get(run.name, described)
    else:
        label = f"{name} ({described})" if (name := _given_name(run)) else f"{described} ({run.name})"
    return CatalogEntry(
        run.name, label, manifest.method, _recommended_coefficient(run), manifest.note or "", preservation
    )


def _given_name(run: Run) -> str:
    """The name that a person gave to the run; a snapshot has that of its run with its step. Empty if there is none."""
    if "/" not in run.name or run.foreign:
        return given_name(run.folder)
    name = given_name(run.folder.parent)
    return f"{name}, step {run.manifest.step}" if name else ""


def _recommended_coefficient(run: Run) -> float:
    """The coefficient at which the page opens a run.

    For a run that says nothing else it is that of the shipped adapter of the same method, which the study chose.
    """
    own = run.manifest.default_coefficient
    if run.shipped or run.foreign or own != Manifest.default_coefficient:
        return own
    alike = [one.manifest for one in runs.shipped_runs() if _kind(one.manifest) == _kind(run.manifest)]
    return alike[0].default_coefficient if alike else own


def _kind(manifest: Manifest) -> tuple[str, Any]:
    return manifest.method, manifest.config.get("preservation")
