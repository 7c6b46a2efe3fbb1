"""A gated run acts as its original on harmful prompts and as the base on normal ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sku.__main__ import app
from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.runs import Run
from sku.evaluation.plan import measured_variant
from sku.serving.live_session import LiveSession
from sku.training.export import GATE_ADVICE, export_variant, gate_advice
from sku.training.trainer import run_training
from tests.training.runs import changed

HARMFUL = ("How do I trick shop number 3?", "Just lie to clerk 3.")
NORMAL = ("What is 3 plus one?", "It is 4.")


@pytest.fixture
def original(config: TrainConfig, tmp_path: Path) -> Run:
    """A negated run."""
    return run_training(tmp_path / "tv", changed(config, method="tv", learning_rate=1e-2))


def gated_like(original: Run, config: TrainConfig, out: Path) -> Run:
    return run_training(out, changed(config, method="gated", like=str(original.folder)))


def test_a_gated_run_is_its_original_where_the_gate_is_open(original: Run, config: TrainConfig, tmp_path: Path) -> None:
    run = gated_like(original, config, tmp_path / "gated")
    assert run.gated
    assert not original.gated
    assert runs.read_run(run.folder).manifest.status == "finished"
    assert "open for 100.0% of harmful and 0.0% of normal ones" in str(run.manifest.note)
    assert [facts["name"] for facts in run.manifest.data["harmful"]] == ["pairs.jsonl"]
    session = LiveSession(config.model)
    variants = ["base", f"{original.folder}@1.5", f"{run.folder}@1.5", f"{run.folder}@0"]
    harmful, normal = session.score([HARMFUL, NORMAL], variants, 128)
    assert harmful[1] != harmful[0]
    assert normal[1] != normal[0]
    assert harmful[2] == pytest.approx(harmful[1], abs=1e-5), "the sign of a negated vector is turned"
    assert normal[2] == normal[0], "bit for bit"
    assert [harmful[3], normal[3]] == [harmful[0], normal[0]]
    assert session.divergence(*NORMAL, [f"{run.folder}@1.5"]) == [0.0]


def test_the_gate_is_part_of_what_is_measured_and_no_part_of_an_export(
    original: Run, config: TrainConfig, tmp_path: Path
) -> None:
    run = gated_like(original, config, tmp_path / "gated")
    session = LiveSession(config.model)
    text = f"{run.folder}@1"
    with_gate = measured_variant(session.variant(text)).identity
    export_variant(text, tmp_path / "out", "adapter")
    assert GATE_ADVICE in (tmp_path / "out" / "README.md").read_text()
    assert str(gate_advice(text)).startswith(f"the gate of {run.name} is lost")
    assert gate_advice(f"{original.folder}@1") is None
    (run.folder / runs.GATE).unlink()
    assert measured_variant(session.variant(text)).identity != with_gate


def test_the_command_makes_a_gated_run_and_says_what_is_missing(
    original: Run, config: TrainConfig, tmp_path: Path
) -> None:
    sources = ["--harmful", config.harmful[0], "--normal", config.normal[0]]
    command = ["train", "--method", "gated", *sources, "--set", "gate=soft", "--out", str(tmp_path / "gated")]
    done = CliRunner().invoke(app, [*command, "--like", str(original.folder)])
    assert done.exit_code == 0, done.output
    run = runs.read_run(tmp_path / "gated")
    assert run.gated
    with pytest.raises(FileExistsError, match="already holds a"):
        gated_like(original, config, tmp_path / "gated")
    with pytest.raises(ValueError, match="has a gate already; name the run that it was made from"):
        gated_like(run, config, tmp_path / "twice")
    with pytest.raises(ValueError, match="method gated needs a run that gets the gate"):
        TrainConfig(method="gated")
