"""Write a run folder: manifest, log, adapter, snapshots, summary. Knows no loss and no data."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from sku.core import runs, storage
from sku.core.config import TrainConfig
from sku.core.jsonl import append_json_lines, read_json_log, write_json_lines
from sku.core.methods import find_method
from sku.core.runs import Manifest, Run
from sku.models.pretrained import hub_id_of


class RunWriter:
    """Writes the folder of a run that is being trained.

    Args:
        folder: the run folder; it is created if it does not exist.
        manifest: the first content of `run.json`.
        writes: whether this process writes files. Only one of several processes does.
    """

    def __init__(self, folder: Path, manifest: Manifest, writes: bool) -> None:
        self.folder, self.manifest, self.writes = folder, manifest, writes
        self.config = TrainConfig.from_dict(manifest.config)
        folder.mkdir(parents=True, exist_ok=True)
        self.update()

    @property
    def run(self) -> Run:
        """The run in its current state."""
        return Run(self.folder, self.manifest)

    def update(self, **changes: Any) -> None:
        """Change fields of the manifest and write it."""
        self.manifest = dataclasses.replace(self.manifest, **changes)
        if self.writes:
            runs.write_manifest(self.folder, self.manifest)

    def add(self, name: str, line: dict[str, Any]) -> None:
        """Append a line to `runs.LOG` or `runs.PROBES`."""
        if self.writes:
            append_json_lines(self.folder / name, [line])

    def continue_from(self, step: int, seconds: float) -> None:
        """Continue from a checkpoint: remove the log lines after `step`, because those steps will be repeated."""
        for path in (self.folder / runs.LOG, self.folder / runs.PROBES):
            if self.writes and path.is_file():
                kept = [line for line in read_json_log(path) if step and line["step"] <= step]
                write_json_lines(path, kept)
        self.update(step=step, seconds=seconds)

    def snapshot(self, peft_model: Any, step: int, seconds: float) -> None:
        """Save the adapter after `step` steps as a run folder within this one."""
        if self.writes:
            folder = self.folder / f"step-{step}"
            folder.mkdir(exist_ok=True)
            self._save(peft_model, folder)
            note = f"after {step} of {self.config.steps} steps"
            changes: dict[str, Any] = {"status": "finished", "step": step, "seconds": seconds, "pid": None}
            runs.write_manifest(folder, dataclasses.replace(self.manifest, **changes, note=note))

    def finish(self, peft_model: Any, seconds: float) -> None:
        """Save the adapter and a summary, and remove the checkpoint."""
        if self.writes:
            self._save(peft_model, self.folder)
            storage.write_atomically(self.folder / "summary.json", json.dumps(self._summary(seconds), indent=2) + "\n")
        self.update(status="finished", step=self.config.steps, seconds=seconds, pid=None)
        if self.writes:
            shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)

    def _save(self, peft_model: Any, folder: Path) -> None:
        temporary = folder / ".adapter.making"
        shutil.rmtree(temporary, ignore_errors=True)
        # never a path of this machine, which PEFT would fill in for None
        peft_model.peft_config["default"].base_model_name_or_path = hub_id_of(self.config.model) or ""
        peft_model.save_pretrained(temporary)
        (temporary / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        shutil.rmtree(folder / "adapter", ignore_errors=True)
        temporary.rename(folder / "adapter")

    def _summary(self, seconds: float) -> dict[str, Any]:
        lines = runs.read_log(self.folder)
        last = lines[-10:]
        terms = {name: sum(line["terms"][name] for line in last) / len(last) for name in self.config.terms}
        return {
            "method": self.config.method,
            "negated": find_method(self.config.method).negated,
            "steps": self.config.steps,
            "seconds": seconds,
            "tokens": sum(line["tokens"] for line in lines),
            "terms_last_steps": terms,
        }
