"""The files that a training of the judge leaves: the LoRA adapter in half precision, and `fit.json` on how it was made.

`heads.py` writes the third, the head.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from sku.core import runs, storage
from sku.judges.fitting.train_loop import FitConfig, Schedule


def save_lora(peft_model: Any, folder: Path) -> None:
    """Write the LoRA adapter of `peft_model` into `folder`, without the name of the base and without PEFT's README."""
    folder.mkdir(parents=True, exist_ok=True)
    peft_model.peft_config["default"].base_model_name_or_path = ""
    peft_model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    weights = {name: t.half().contiguous() for name, t in get_peft_model_state_dict(peft_model).items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def write_fit_record(
    folder: Path, trained_on: dict[str, str], config: FitConfig, schedule: Schedule, seconds: float
) -> None:
    """Write `fit.json`.

    Args:
        folder: where.
        trained_on: names the network that the adapter belongs to.
        config: the settings.
        schedule: the batches that were trained on.
        seconds: the training took.
    """
    facts = {
        "config": dataclasses.asdict(config),
        **trained_on,
        "labelled": schedule.examples,
        "seconds": seconds,
        "packages": runs.package_versions(),
    }
    storage.write_atomically(folder / "fit.json", json.dumps(facts, indent=2) + "\n")
