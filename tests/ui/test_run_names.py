"""The name that a person gives to a run: lists show it, and nothing that names the run by its folder breaks."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest

from sku.core import runs, storage
from sku.core.config import TrainConfig
from sku.core.run_names import given_name, rename_run
from sku.serving.training_jobs import TrainingJobs
from sku.serving.variant_catalog import CatalogEntry, list_variants
from sku.ui.compare.column_variant import typed_variant
from sku.ui.hosting.gate import Gate
from sku.ui.train.run_actions import name_run


def make_run(name: str, method: str = "ga", **manifest: Any) -> runs.Run:
    folder = storage.home() / "runs" / name
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    config = manifest.pop("config", {})
    runs.write_manifest(folder, runs.Manifest(method, config, "pico", "", status="finished", **manifest))
    return runs.read_run(folder)


def listed(name: str) -> CatalogEntry:
    return next(entry for entry in list_variants() if entry.name == name)


def test_a_new_name_is_shown_and_the_run_stays_what_it_was() -> None:
    run = make_run("ga-1")
    make_run("ga-1/step-5", step=5)
    before = (run.weights_hash, run.known, listed("ga-1").name)
    assert rename_run(run, "  my gentle run ") == "my gentle run"
    assert listed("ga-1").label == "my gentle run (Gradient ascent)"
    assert listed("ga-1/step-5").label == "my gentle run, step 5 (Gradient ascent)"
    found = runs.find_run("ga-1")
    assert (found.weights_hash, found.known, listed("ga-1").name) == before
    assert typed_variant("gentle", list_variants(), Gate()) == "ga-1", "a list is searched by the name too"
    assert rename_run(run, "") == ""
    assert listed("ga-1").label == "Gradient ascent (ga-1)"
    assert given_name(run.folder) == ""


@pytest.mark.parametrize("name", ["a" * 61, "two\nlines", "a\x1b[31m", "caf\udce9"])
def test_a_name_that_is_no_short_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"at most 60 characters|is not UTF-8|cannot"):
        rename_run(make_run("ga-1"), name)
    assert listed("ga-1").label == "Gradient ascent (ga-1)"


def test_what_came_with_the_project_keeps_its_name() -> None:
    with pytest.raises(ValueError, match="ga is not one of your runs"):
        rename_run(runs.find_run("ga"), "mine")


@pytest.mark.parametrize(
    ("method", "manifest", "opened"),
    [
        ("sku_directions", {"config": {"preservation": "keep"}}, 0.8),
        ("sku_directions", {"config": {"preservation": "off"}}, 1.0),
        ("sku_directions", {"config": {"preservation": "keep"}, "default_coefficient": 0.5}, 0.5),
        ("ga", {}, 1.0),
        ("combined", {}, 1.0),
    ],
)
def test_an_own_run_opens_at_the_coefficient_that_its_method_recommends(
    method: str, manifest: dict[str, Any], opened: float
) -> None:
    make_run("own", method, **manifest)
    assert listed("own").default_coefficient == opened


def test_a_visitor_renames_only_their_own_run() -> None:
    folder = make_run("ga-1", config=TrainConfig(method="ga").to_dict()).folder
    (folder / "config.json").write_text(json.dumps(TrainConfig(method="ga").to_dict()))
    (folder / "job.json").write_text(json.dumps({"owner": "mine"}))
    with pytest.raises(gr.Error, match="no run called"):
        name_run(TrainingJobs(), "another's", "ga-1", "taken over")
    assert given_name(folder) == ""
    with pytest.raises(gr.Error, match="at most 60 characters"):
        name_run(TrainingJobs(), "mine", "ga-1", "a" * 61)
    name_run(TrainingJobs(), "mine", "ga-1", "my run")
    assert given_name(folder) == "my run"
