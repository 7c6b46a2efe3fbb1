"""Find run folders and read their `run.json`. Training writes run folders; jobs, sessions and exports only read them.

This module does not import torch. Shipped adapters (`assets/adapters/NAME`) are run folders too, with only the files
that serving needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sku.core.file_cache import read_growing_json_log, read_if_changed
from sku.core.jsonl import read_json
from sku.core.methods import FOREIGN
from sku.core.peft_folders import PEFT_WEIGHTS, describe_other_folder, find_peft_folder, is_hub_id, read_peft_config
from sku.core.records import digest
from sku.core.storage import ASSETS, home, write_atomically
from sku.core.validation import validate
from sku.core.variants import BASE, SERVER, KnownAdapter

Status = Literal["running", "finished", "cancelled", "failed"]
LOG = "log.jsonl"
PROBES = "probes.jsonl"
GATE = "gate.safetensors"
"""The gate of a run of method `gated` (`models/gate.py`)."""
SHIPPED_ADAPTERS = ASSETS / "adapters"
_PACKAGES = ("torch", "transformers", "peft", "accelerate")


@dataclass(frozen=True)
class Manifest:
    """The content of `run.json`."""

    method: str
    config: dict[str, Any]
    """The settings, as `TrainConfig.to_dict` returned them."""
    base: str
    """The base model: the name of a known base, a hub id, or a folder."""
    base_fingerprint: str
    """A hash of the base's weights. An adapter is only used with the base that it was trained on."""
    data: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """For `harmful` and for `normal`: the name, content hash, number of pairs used and licence of each source."""
    status: Status = "running"
    reason: str | None = None
    """Why the run failed."""
    step: int = 0
    """The number of steps in the newest checkpoint."""
    seconds: float = 0.0
    """The time of the training steps so far, including those before the run was resumed."""
    spent: dict[str, float] = field(default_factory=dict)
    """All seconds of the run so far, by kind of work: `loading` the base, its own `answers` and the data, `preparing`
    the adapter, `steps`, and `probes`. Empty for runs of earlier versions."""
    answers_written: int = 0
    """The base's own answers that the run wrote. Answers that it found in the cache do not count."""
    default_coefficient: float = 1.0
    """The coefficient of a variant that is named without one."""
    packages: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that the result depends on."""
    pid: int | None = None
    """The id of the training process while it runs."""
    note: str | None = None
    combination: dict[str, Any] | None = None
    """For the method `combined`: the operation, its settings, the parents with the hashes of their weights, and the
    share of the result that its rank leaves out."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config.get("seed", 0))

    @property
    def steps(self) -> int:
        """The number of steps that the whole run takes."""
        return int(self.config.get("steps", 0))


@dataclass(frozen=True)
class Run:
    """A run folder and the content of its `run.json`."""

    folder: Path
    manifest: Manifest
    hub_id: str | None = None
    """The id of an adapter that came from the hub."""

    @property
    def foreign(self) -> bool:
        """Whether this is an adapter that was not trained here: a PEFT folder without a run."""
        return self.manifest.method == FOREIGN

    @property
    def adapter(self) -> Path:
        """The folder of the PEFT adapter. It exists once the run is finished."""
        return self.folder if self.foreign else self.folder / "adapter"

    @property
    def weights_hash(self) -> str:
        """A hash of the adapter's weights and of its gate, if it has one. It does not depend on the name."""
        state = hashlib.sha256((self.adapter / PEFT_WEIGHTS).read_bytes())
        if self.gated:  # the gate is not in the weights, but changes the answers
            state.update((self.folder / GATE).read_bytes())
        return state.hexdigest()[:16]

    @property
    def gated(self) -> bool:
        """Whether a gate decides for each prompt how much of the adapter is applied."""
        return not self.foreign and (self.folder / GATE).is_file()

    @property
    def begun(self) -> bool:
        """Whether the folder holds anything that a new training would overwrite."""
        return self.adapter.is_dir() or bool(read_log(self.folder))

    @property
    def shipped(self) -> bool:
        """Whether the run came with the project."""
        return self.folder.parent == SHIPPED_ADAPTERS

    @property
    def name(self) -> str:
        """The name of the run in a variant, as a person writes it."""
        if self.hub_id:
            return self.hub_id
        if self.folder.parent.parent == home() / "runs":  # a snapshot within a run
            return f"{self.folder.parent.name}/{self.folder.name}"
        return self.folder.name if self.folder.parent in (SHIPPED_ADAPTERS, home() / "runs") else str(self.folder)

    @property
    def known(self) -> KnownAdapter:
        """The facts about the adapter that `variants.resolve_variant` needs."""
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
        ValueError: if `run.json` cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder (it has no run.json); name one that `train --out` wrote")
    try:
        return Run(folder, read_if_changed(path, _manifest))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); the run must be trained again") from error


def _manifest(path: Path) -> Manifest:
    return validate(Manifest, read_json(path, path.name), path.name)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`, oldest first. Only lines that were added since the last call are read from disk."""
    return read_growing_json_log(folder / LOG)


def shipped_runs() -> list[Run]:
    """The adapters that came with the project, sorted by name."""
    return list(_runs_in(SHIPPED_ADAPTERS))


def shipped_variants() -> list[str]:
    """Every shipped adapter at its default coefficient, as the text of a variant."""
    return [f"{run.name}@{run.manifest.default_coefficient:g}" for run in shipped_runs()]


def shipped_sku() -> str:
    """The shipped SKU at its default coefficient, as the text of a variant; `sku` if this copy came without it."""
    return next((text for text in shipped_variants() if text.partition("@")[0] == "sku"), "sku")


def own_runs() -> list[Run]:
    """The runs under `SKU_HOME`, newest first."""
    return sorted(_runs_in(home() / "runs"), key=lambda run: run.folder.name, reverse=True)


def snapshots_of(run: Run) -> list[Run]:
    """The snapshots of a run, each a run folder of its own, in the order of their steps."""
    return sorted(_runs_in(run.folder, "step-*/run.json"), key=lambda snapshot: snapshot.manifest.step)


def find_run(name: str) -> Run:
    """The run that a name in a variant means.

    Args:
        name: a shipped adapter, a run under `SKU_HOME`, the path of a run folder or of a PEFT folder, or the hub id of
            a PEFT adapter.

    Raises:
        ValueError: if there is no such run, or it is not finished.
        Unavailable: if the hub does not give an adapter of that name.
    """
    if name.startswith(SERVER):
        raise ValueError(f"{name} is a model behind a server and has no weights on this machine; name a run")
    for folder in (SHIPPED_ADAPTERS / name, home() / "runs" / name, Path(name)):
        if (folder / "run.json").is_file():
            run = read_run(folder)
            if not run.adapter.is_dir():
                raise ValueError(f"run {name} is {run.manifest.status} and has no adapter yet; finish it with --resume")
            return run
    found = find_peft_folder(name)
    if found is not None:
        return foreign_run(found, name)
    if meant := describe_other_folder(name):
        raise ValueError(f"variant {name!r} {meant}")
    names = ", ".join(["base", *(run.name for run in shipped_runs())])
    raise ValueError(
        f"variant {name!r} is not known; choose one of {names}, the path of a finished run folder or of a PEFT folder, "
        "or the hub id of a PEFT adapter"
    )


def run_folder_of(adapter: Path) -> Path | None:
    """The run folder that the PEFT folder `adapter` belongs to; None for an adapter from elsewhere.

    What lies beside an adapter from elsewhere has nothing to do with it.
    """
    folder = adapter.parent
    return folder if adapter.name == "adapter" and (folder / "run.json").is_file() else None


def foreign_run(folder: Path, name: str) -> Run:
    """The adapter in a PEFT folder as a run. If the folder belongs to a run of this project, it is that run.

    Raises:
        ValueError: if `adapter_config.json` cannot be read.
    """
    if (run_folder := run_folder_of(folder)) is not None:
        return read_run(run_folder)
    config = read_peft_config(folder)
    base = str(config.get("base_model_name_or_path") or "")
    return Run(folder, Manifest(FOREIGN, {}, base, "", status="finished"), name if is_hub_id(name) else None)


def is_foreign(name: str) -> bool:
    """Whether a name in a variant means an adapter that was not trained here.

    Raises:
        ValueError, Unavailable: as `find_run`.
    """
    return name != BASE and not name.startswith(SERVER) and find_run(name).foreign


def _runs_in(folder: Path, pattern: str = "*/run.json") -> Iterator[Run]:
    for path in sorted(folder.glob(pattern)):
        try:
            yield read_run(path.parent)
        except ValueError:
            continue  # a damaged run must not hide the others; `find_run` reports what is wrong with it
