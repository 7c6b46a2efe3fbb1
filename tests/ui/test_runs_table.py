"""The table of runs: what can be done with each run stands in its row, and what the browser sends is not believed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.run_names import rename_run
from sku.core.runs import Manifest
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.train.runs_table import row_actions, runs_value, sent_name, sent_run


@pytest.fixture
def finished(sku_home: Path) -> TrainingJob:
    folder = sku_home / "runs" / "ga-1"
    (folder / "adapter").mkdir(parents=True)
    config = TrainConfig(method="ga")
    runs.write_manifest(folder, Manifest("ga", config.to_dict(), config.model, "", status="finished"))
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "job.json").write_text("{}")
    return TrainingJobs().read("ga-1")


ALL = ["open_run", "measure_run", "rename_run", "rerun_run", "download_run", "delete_run"]


def test_a_row_offers_what_can_be_done_with_its_run(finished: TrainingJob) -> None:
    assert row_actions(finished, downloads=True) == ALL
    assert row_actions(finished, downloads=False) == [one for one in ALL if one != "download_run"]
    stopped = dataclasses.replace(finished, state="cancelled")
    assert row_actions(stopped, downloads=False) == ["resume_run", "rename_run", "rerun_run", "delete_run"]
    assert row_actions(dataclasses.replace(finished, state="running"), downloads=True) == ["rename_run"]
    combined = dataclasses.replace(finished, config=TrainConfig(method="combined", steps=1))
    assert "rerun_run" not in row_actions(combined, downloads=True), "the form cannot repeat it"


def test_a_run_without_a_manifest_can_be_resumed_or_deleted_and_nothing_else(finished: TrainingJob) -> None:
    (finished.folder / "run.json").unlink()
    failed = TrainingJobs().read("ga-1")
    assert row_actions(failed, downloads=False) == ["resume_run", "rerun_run", "delete_run"]
    assert row_actions(dataclasses.replace(failed, state="starting"), downloads=False) == []


def test_the_table_marks_the_chosen_run_and_shows_both_names(finished: TrainingJob) -> None:
    assert runs_value([], None, downloads=True) == ""
    rename_run(runs.read_run(finished.folder), "mine <b>")
    shown = json.loads(runs_value([finished], finished, downloads=True))
    (row,) = shown["rows"]
    assert (row["run"], row["given"], row["chosen"]) == ("ga-1", "mine <b>", True)
    assert len(shown["headers"]) == len(row["cells"]) + 2, "the name before the cells, the buttons after"
    assert [action[0] for action in row["actions"]] == ALL
    assert not json.loads(runs_value([finished], None, downloads=True))["rows"][0]["chosen"]


@pytest.mark.parametrize("sent", [{}, {"run": None, "name": None}, {"run": ["ga-1"], "name": {"a": 1}}])
def test_what_is_no_text_names_no_run(sent: dict[str, Any]) -> None:
    event: Any = SimpleNamespace(**sent)
    assert (sent_run(event), sent_name(event)) == ("", "")


def test_a_long_text_is_cut_but_a_long_name_is_still_too_long() -> None:
    event: Any = SimpleNamespace(run="r" * 5000, name="n" * 5000)
    assert (len(sent_run(event)), len(sent_name(event))) == (200, 61)
