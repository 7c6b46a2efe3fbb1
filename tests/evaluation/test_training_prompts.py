"""Which prompts a run was trained on, and what is said where its data are not here any more."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Manifest, Run
from sku.data import load_pairs
from sku.data.splits import split
from sku.evaluation.training_prompts import load_training_prompts


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a file of harmful and one of normal pairs."""
    folder = tmp_path / "data"
    folder.mkdir()
    for kind in ("harmful", "normal"):
        rows = [
            {"prompt": f"{kind} {i}?", "answer": f"So {i}.", "category": "odd" if i % 2 else "even"} for i in range(30)
        ]
        (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def run_of(folder: Path, **settings: Any) -> Run:
    """A run as `train` would record it: the sources as they are in `folder` now."""
    files = {kind: folder / f"{kind}.jsonl" for kind in ("harmful", "normal")}
    config = TrainConfig(**{kind: (str(file),) for kind, file in files.items()} | settings)
    facts = {kind: [{"hash": load_pairs(str(file), "normal").content_hash}] for kind, file in files.items()}
    return Run(folder / "run", Manifest(config.method, config.to_dict(), "pico", "", facts))


def train_side(file: Path) -> set[str]:
    return {pair.prompt for pair in split(load_pairs(str(file), "harmful").pairs, "train")}


def test_they_are_the_training_side_of_both_kinds(data: Path) -> None:
    found = load_training_prompts([run_of(data)])
    assert found.prompts == train_side(data / "harmful.jsonl") | train_side(data / "normal.jsonl")
    assert 0 < len(found.prompts) < 60
    assert found.warning == ""


def test_pairs_beyond_the_limit_and_left_out_categories_were_not_trained(data: Path) -> None:
    limited = load_training_prompts([run_of(data, harmful_limit=3, normal_limit=2)]).prompts
    assert len(limited) == 5
    without = load_training_prompts([run_of(data, leave_out=("odd",))]).prompts
    assert without == {
        p for p in load_training_prompts([run_of(data)]).prompts if "normal" in p or int(p[8:-1]) % 2 == 0
    }


@pytest.mark.parametrize("name", ["self", "prefilled"])
def test_the_prompts_that_the_base_answers_itself_count(data: Path, name: str) -> None:
    found = load_training_prompts([run_of(data, harmful=(f"{name}:{data / 'harmful.jsonl'}",))])
    assert found == load_training_prompts([run_of(data)])


def test_a_missing_file_is_named_once_and_found_in_the_folder_that_is_given(data: Path) -> None:
    """The shipped runs name their files without a folder."""
    named = {"harmful": ("harmful.jsonl",), "normal": ("self:normal.jsonl",)}
    run = run_of(data, **named)
    found = load_training_prompts([run, run])
    assert found.missing == ("harmful.jsonl", "normal.jsonl")
    assert found.prompts == frozenset()
    assert "harmful.jsonl, normal.jsonl; give --training-data the folder" in found.warning
    assert load_training_prompts([run], data) == load_training_prompts([run_of(data)])


def test_what_can_be_loaded_is_used_where_the_rest_is_missing(data: Path) -> None:
    found = load_training_prompts([run_of(data, normal=("gone.jsonl",))])
    assert found.missing == ("gone.jsonl",)
    assert found.prompts == train_side(data / "harmful.jsonl")


def test_a_file_that_has_changed_since_is_used_and_named(data: Path) -> None:
    run = run_of(data)
    with (data / "normal.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"prompt": f"new {i}?", "answer": "So."}) + "\n" for i in range(9))
    found = load_training_prompts([run])
    assert found.changed == (str(data / "normal.jsonl"),)
    assert any(prompt.startswith("new") for prompt in found.prompts)
    assert "have changed since a run was trained" in found.warning


def test_a_random_vector_was_trained_on_nothing(data: Path) -> None:
    run = run_of(data)
    config = TrainConfig(method="random", like="sku").to_dict()
    noise = dataclasses.replace(run, manifest=Manifest("random", config, "pico", ""))
    assert load_training_prompts([noise]) == load_training_prompts([])


def test_every_shipped_run_says_what_it_was_trained_on() -> None:
    """Without their files at least the bundled prompts are known."""
    for run in runs.shipped_runs():
        found = load_training_prompts([run])
        assert train_side_of_bundled() & found.prompts, run.name
        assert "advbench:advbench.csv" in found.missing, run.name


def train_side_of_bundled() -> set[str]:
    return {pair.prompt for pair in split(load_pairs("bundled", "harmful").pairs, "train")}
