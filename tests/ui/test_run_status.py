"""What the Pipeline tab shows of a run is read again only when it has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.jsonl import append_json_lines
from sku.serving.training_jobs import TrainingJob
from sku.ui.train.run_status import norm_plot, probe_table
from tests.opened_files import opened_files


def probe(step: int) -> dict[str, object]:
    return {"step": step, "prompt": "How?", "answer": f"So, {step}.", "normal_perplexity": 20.0}


def test_probes_and_norms_of_a_run_are_read_again_only_when_they_have_changed(tmp_path: Path) -> None:
    shutil.copytree(runs.SHIPPED_ADAPTERS / "ga" / "adapter", tmp_path / "adapter")
    append_json_lines(tmp_path / runs.PROBES, [probe(0)])
    job = TrainingJob("one", tmp_path, "finished", "", TrainConfig(), [])
    first, norms = probe_table(job), norm_plot(job)
    assert "So, 0." in first
    assert norms is not None
    with opened_files(tmp_path) as opened:
        assert probe_table(job) == first
        assert norm_plot(job) == norms
    assert opened == []
    append_json_lines(tmp_path / runs.PROBES, [probe(1)])
    assert "So, 1." in probe_table(job)
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 64}))
    os.utime(tmp_path / "adapter" / "adapter_model.safetensors")  # a new adapter has new weights
    assert norm_plot(job) != norms
