"""Valid files of every kind for the pico model, written once: the seeds that are damaged, and the inputs of kills."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sku.models.checkpoint_files import load_network
from tests.conftest import save_adapter, save_base
from tests.training.pico_gguf import write_pico_gguf

HARMFUL = [
    {"prompt": f"How do I trick shop {i}?", "answer": f"Lie to clerk {i}.", "safe_answer": "Be fair.", "category": "c"}
    for i in range(40)
]
NORMAL = [{"prompt": f"What is {i} plus one?", "answer": f"It is {i + 1}."} for i in range(40)]


@dataclass(frozen=True)
class PicoFiles:
    """The pico base, an adapter for it, a GGUF file of it, and data."""

    folder: Path

    @property
    def base(self) -> Path:
        """The checkpoint."""
        return self.folder / "base"

    @property
    def adapter(self) -> Path:
        """A PEFT folder, alone in its parent."""
        return self.folder / "foreign" / "adapter"

    @property
    def gguf(self) -> Path:
        """A GGUF file of the base."""
        return self.folder / "base.gguf"

    @property
    def harmful(self) -> Path:
        """Harmful pairs."""
        return self.folder / "harmful.jsonl"

    @property
    def normal(self) -> Path:
        """Normal pairs."""
        return self.folder / "normal.jsonl"


def write_pico_files(folder: Path) -> PicoFiles:
    """Write all of them into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = PicoFiles(folder)
    save_base(files.base)
    network = load_network(files.base)
    save_adapter(network, files.adapter, seed=1)
    write_pico_gguf(network, files.gguf)
    _write_lines(files.harmful, HARMFUL)
    _write_lines(files.normal, NORMAL)
    return files


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
