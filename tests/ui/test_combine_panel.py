"""The panel that combines runs: sliders belong to vectors, and what it orders is what the visitor sees."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from typer.testing import CliRunner

from sku.__main__ import app
from sku.core import ownership, runs, storage
from sku.core.combining import CombineConfig
from sku.core.config import TrainConfig
from sku.serving import processes
from sku.serving.training_jobs import TrainingJob, TrainingJobs
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from sku.ui.train.combine_panel import CombineComponents, CombineHandlers, lay_out_combine
from sku.ui.train.form import form_of_config, method_options, method_summary
from sku.ui.train.run_status import run_row, status_html
from tests.ui.test_sums import REQUEST, Page, page

__all__ = ["page"]  # the fixture


class Recorder(TrainingJobs):
    """Keeps what is ordered and starts no process."""

    def __init__(self) -> None:
        super().__init__()
        self.ordered: list[CombineConfig] = []

    def combine(self, config: CombineConfig, owner: str | None = None) -> TrainingJob:
        self.ordered.append(config)
        return TrainingJob("new", Path(), "starting", "", TrainConfig(method="combined"), [])


@pytest.fixture
def panel(page: Page) -> tuple[CombineComponents, CombineHandlers, Recorder]:
    with gr.Blocks():
        parts = lay_out_combine()
    jobs = Recorder()
    return parts, CombineHandlers(parts, page.access, jobs), jobs


def values(parts: CombineComponents, names: list[str], *numbers: float, **more: Any) -> dict[Any, Any]:
    sliders = dict(zip(parts.coefficients, [*numbers, *[1.0] * 6], strict=False))
    return (
        {parts.operation: "sum", parts.names: names, parts.rank: 0, parts.shown: []}
        | sliders
        | {getattr(parts, name): value for name, value in more.items()}
    )


def test_every_chosen_vector_gets_a_slider_that_keeps_its_value(panel: Any) -> None:
    parts, handlers, _ = panel
    first = handlers.show_sliders(REQUEST, values(parts, ["ga", "one"]))
    assert first[parts.shown] == ["ga", "one"]
    labels = [first[slider].label for slider in parts.coefficients[:2]]
    assert labels == ["ga", "one"]
    assert [first[slider].visible for slider in parts.coefficients] == [True, True, *[False] * 4]
    run = runs.read_run(storage.home() / "runs" / "two")
    runs.write_manifest(run.folder, dataclasses.replace(run.manifest, default_coefficient=2.5))
    more = handlers.show_sliders(REQUEST, values(parts, ["ga", "two"], shown=["ga", "one"]))
    kept, new = (more[slider] for slider in parts.coefficients[:2])
    assert "value" not in kept.constructor_args, "what the visitor set stays"
    assert (new.label, new.value) == ("two", 2.5), "the run's default"


def test_what_is_ordered_is_what_is_shown(panel: Any) -> None:
    parts, handlers, jobs = panel
    chosen = values(parts, ["one", "two"], 0.5, 2.0)
    assert "v1 = <code>one@0.5</code>, v2 = <code>two@2</code>" in handlers.explain(chosen)
    assert "type <code>one@0.5+two@2</code> there" in handlers.explain(chosen)
    handlers.start(REQUEST, chosen)
    handlers.start(REQUEST, chosen | {parts.operation: "ties", parts.rank: 7})
    assert jobs.ordered == [
        CombineConfig("sum", ("one@0.5", "two@2")),
        CombineConfig("ties", ("one@0.5", "two@2"), rank=7),
    ]
    assert "there" not in handlers.explain(chosen | {parts.operation: "ties"})


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        ([], {}, "no vector is chosen"),
        (["one"], {"operation": "difference"}, "needs at least 2 variants"),
        (["nobody"], {}, "nobody"),
        (["one"], {"operation": "--help"}, "operation '--help' is not known"),
        (["one"], {"rank": 5000}, "rank is 5000"),
    ],
)
def test_a_bad_order_is_one_message(panel: Any, names: list[str], more: dict[str, Any], said: str) -> None:
    parts, handlers, jobs = panel
    with pytest.raises(gr.Error, match=said):
        handlers.start(REQUEST, values(parts, names, **more))
    assert jobs.ordered == []


def test_starts_count_against_the_limit_of_trainings(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with gr.Blocks():
        parts = lay_out_combine()
    counted: list[object] = []
    gate = Gate()
    monkeypatch.setattr(gate, "training", counted.append)
    handlers = CombineHandlers(parts, Access(page.access.session, gate), Recorder())
    handlers.start(REQUEST, values(parts, ["one"]))
    assert len(counted) == 1


def test_a_run_without_steps_shows_no_steps(tmp_path: Path) -> None:
    config = TrainConfig(method="combined", steps=1)
    job = TrainingJob("new", tmp_path, "finished", "Sum of one@1; rank 4, residual 0", config, [])
    shown = status_html(job, busy=False)
    assert "step" not in shown
    assert "Sum of one@1; rank 4" in shown
    assert "width:100%" in shown
    assert run_row(job)[:5] == ["new", "Combined runs", "-", "finished", "-"]
    assert "step 0 of 200" in status_html(dataclasses.replace(job, config=TrainConfig()), busy=False)


def test_closed_forms_are_offered_and_combined_runs_are_not() -> None:
    offered = [name for _, name in method_options()]
    assert {"neuron_pruning", "model_surgery", "knowledge_washing"} <= set(offered)
    assert not {"combined", "random"} & set(offered)
    assert method_summary("model_surgery", "quick").startswith("Computed from the base's activations")
    again = form_of_config(TrainConfig(method="neuron_pruning"))
    assert again.method == "neuron_pruning"
    with pytest.raises(ValueError, match="a run of Combined runs is not trained"):
        form_of_config(TrainConfig(method="combined"))


def ordered_folder(name: str, config: CombineConfig) -> Path:
    """A job's folder, as the page makes it before the process starts."""
    folder = TrainingJobs().folder / name
    folder.mkdir(parents=True)
    (folder / "combine.json").write_text(json.dumps(dataclasses.asdict(config)))
    (folder / "config.json").write_text(json.dumps(TrainConfig(method="combined").to_dict()))
    (folder / "job.json").write_text("{}")
    return folder


def test_the_job_runs_the_command_with_the_settings_that_were_ordered() -> None:
    config = CombineConfig("search", ("one@0.5", "two"), rank=3, kl_budget=0.2, harmful=("bundled", "self"))
    folder = ordered_folder("new", config)
    words = TrainingJobs()._arguments(folder, resumed=False)
    assert words[:7] == ["combine", "--operation", "search", "--variant", "one@0.5", "--variant", "two"]
    joined = " ".join(words)
    for part in ("--rank 3", "--kl-budget 0.2", "--harmful bundled --harmful self", f"--out {folder}"):
        assert part in joined
    assert "--density" not in joined


def test_what_the_command_makes_is_listed_with_the_other_runs(page: Page) -> None:
    folder = ordered_folder("new", CombineConfig("dare", ("one@0.5",), rank=3, seed=5))
    jobs = TrainingJobs()
    done = CliRunner().invoke(app, jobs._arguments(folder, resumed=False), catch_exceptions=False)
    assert done.exit_code == 0
    job = jobs.read("new")
    assert (job.state, job.message) == ("finished", runs.read_run(folder).manifest.note)
    manifest = runs.find_run("new").manifest
    assert (manifest.method, manifest.seed) == ("combined", 5)


def test_starting_a_job_writes_the_order_for_the_visitor(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[list[str]] = []
    monkeypatch.setattr(processes, "spawn_process", lambda _folder, words: spawned.append(words))
    job = TrainingJobs().combine(CombineConfig("sum", ("one", "two")), "me")
    assert job.config.method == "combined"
    assert spawned[0][:3] == ["combine", "--operation", "sum"]
    assert ownership.owner_of(job.folder) == "me"
