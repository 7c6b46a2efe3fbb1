"""How long a training takes is told from a run that was measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Manifest
from sku.serving.estimates import estimate_training


def test_an_estimate_comes_from_a_run_of_the_same_method_here(pico_folder: Path, sku_home: Path) -> None:
    config = TrainConfig(model=str(pico_folder), steps=6, batch_size=2)
    unknown = estimate_training(config)
    assert unknown.seconds is None
    assert "no run of sku" in unknown.source
    folder = sku_home / "runs" / "before"
    folder.mkdir(parents=True)
    runs.write_manifest(
        folder, Manifest("sku", config.to_dict(), config.model, "", status="finished", step=6, seconds=60.0)
    )
    assert estimate_training(config).seconds == pytest.approx(60)
    assert estimate_training(dataclasses.replace(config, steps=12, batch_size=4)).seconds == pytest.approx(240)
    lines = [json.dumps({"step": i, "seconds": 2.0}) + "\n" for i in range(6)]
    (folder / runs.LOG).write_text("".join(lines))
    assert estimate_training(config).seconds == pytest.approx(12)
    assert "run before here" in estimate_training(config).source
    shipped = estimate_training(TrainConfig(method="ga"))
    assert "the shipped run ga" in shipped.source
    assert shipped.seconds is not None
