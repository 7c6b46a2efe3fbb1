"""Run folders: where they are and what `run.json` says. Training writes them; jobs, sessions and exports only read.

Knows no torch. Shipped adapters (`assets/adapters/NAME`) are run folders too, with only the parts that serving needs.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sku.core.file_cache import read_growing_json_log, read_if_changed
from sku.core.records import digest
from sku.core.storage import ASSETS, home, write_atomically
from sku.core.variants import KnownAdapter

Status = Literal["running", "finished", "cancelled", "failed"]
LOG = "log.jsonl"
PROBES = "probes.jsonl"
SHIPPED_ADAPTERS = ASSETS / "adapters"
_PACKAGES = ("torch", "transformers", "peft", "accelerate")


@dataclass(frozen=True)
class Manifest:
    """What `run.json` holds."""

    method: str
    config: dict[str, Any]
    """As `TrainConfig.to_dict` wrote it."""
    base: str
    base_fingerprint: str
    data: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """`harmful` and `normal`: name, content hash, pairs used, licence of each source."""
    status: Status = "running"
    reason: str | None = None
    """Why it failed."""
    step: int = 0
    """Steps that the newest checkpoint holds."""
    seconds: float = 0.0
    """Training time so far, over all resumptions."""
    default_coefficient: float = 1.0
    packages: dict[str, str] = field(default_factory=dict)
    pid: int | None = None
    """Of the process that trains, while it runs."""
    note: str | None = None

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config.get("seed", 0))

    @property
    def steps(self) -> int:
        """Steps the run is to take."""
        return int(self.config.get("steps", 0))


@dataclass(frozen=True)
class Run:
    """A run folder and what it says."""

    folder: Path
    manifest: Manifest

    @property
    def adapter(self) -> Path:
        """The PEFT adapter, there once the run is finished."""
        return self.folder / "adapter"

    @property
    def begun(self) -> bool:
        """Whether there is anything in it that a new training would destroy."""
        return self.adapter.is_dir() or bool(read_log(self.folder))

    @property
    def shipped(self) -> bool:
        """Whether it came with the project."""
        return self.folder.parent == SHIPPED_ADAPTERS

    @property
    def name(self) -> str:
        """What a person writes for it in a variant."""
        if self.folder.parent.parent == home() / "runs":  # a checkpoint along a run
            return f"{self.folder.parent.name}/{self.folder.name}"
        return self.folder.name if self.folder.parent in (SHIPPED_ADAPTERS, home() / "runs") else str(self.folder)

    @property
    def known(self) -> KnownAdapter:
        """What `variants.resolve_variant` needs of it."""
        key = self.folder.name if self.shipped else f"run_{digest(str(self.folder.resolve()))}"
        return KnownAdapter(key, self.manifest.method, self.manifest.default_coefficient)


def package_versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `run.json`."""
    write_atomically(folder / "run.json", json.dumps(dataclasses.asdict(manifest), indent=2) + "\n")


def read_run(folder: Path) -> Run:
    """The run in `folder`.

    Raises:
        FileNotFoundError: if there is no `run.json`.
        ValueError: if it cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no run folder (it has no run.json); name one that `train --out` wrote")
    try:
        return Run(folder, read_if_changed(path, _manifest))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); the run must be trained again") from error


def _manifest(path: Path) -> Manifest:
    return Manifest(**json.loads(path.read_text(encoding="utf-8")))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`, oldest first; only lines that were added since the last call are read."""
    return read_growing_json_log(folder / LOG)


def shipped_runs() -> list[Run]:
    """The adapters that came with the project, by name."""
    return list(_under(SHIPPED_ADAPTERS))


def shipped_variants() -> list[str]:
    """Each of them at its default coefficient, as variants."""
    return [f"{run.name}@{run.manifest.default_coefficient:g}" for run in shipped_runs()]


def own_runs() -> list[Run]:
    """The runs under `SKU_HOME`, newest first."""
    return sorted(_under(home() / "runs"), key=lambda run: run.folder.name, reverse=True)


def snapshots_of(run: Run) -> list[Run]:
    """Points along a run that were kept as runs of their own, the first one first."""
    return sorted(_under(run.folder, "step-*/run.json"), key=lambda found: found.manifest.step)


def find_run(name: str) -> Run:
    """The run that a variant's NAME means: a shipped adapter, a run under `SKU_HOME`, or the path of a run folder.

    Raises:
        ValueError: if there is none, or it is not finished.
    """
    for folder in (SHIPPED_ADAPTERS / name, home() / "runs" / name, Path(name)):
        if (folder / "run.json").is_file():
            run = read_run(folder)
            if not run.adapter.is_dir():
                raise ValueError(f"run {name} is {run.manifest.status} and has no adapter yet; finish it with --resume")
            return run
    names = ", ".join(["base", *(run.name for run in shipped_runs())])
    raise ValueError(f"variant {name!r} is not known; choose one of {names}, or the path of a finished run folder")


def _under(folder: Path, pattern: str = "*/run.json") -> Iterator[Run]:
    for path in sorted(folder.glob(pattern)):
        try:
            yield read_run(path.parent)
        except ValueError:
            continue  # a damaged run must not hide the others; `find` names its fault
