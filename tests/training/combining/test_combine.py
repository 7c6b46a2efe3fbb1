"""A combined run is the arithmetic on merged weights, and an ordinary run for every other part."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sku.core import runs
from sku.core.combining import OPERATIONS, CombineConfig
from sku.core.config import DecodingConfig, TrainConfig
from sku.core.errors import Cancelled
from sku.core.runs import Run
from sku.evaluation.training_prompts import load_training_prompts
from sku.models.variant_model import load_variant_model
from sku.serving.live_session import LiveSession
from sku.training.combining.combine import combine_runs
from sku.training.combining.training_data import merged_training_data
from sku.training.export import export_variant
from sku.training.trainer import run_training
from tests.training.combining.conftest import MakeRun


def combined(out: Path, operation: str, *variants: object, **settings: Any) -> Run:
    return combine_runs(out, CombineConfig(operation, tuple(map(str, variants)), **settings))


def merged_change(variant: object, pico_folder: Path, tmp_path: Path) -> dict[str, Tensor]:
    """What merging a variant adds to every weight of the base, from an exported checkpoint."""
    out = tmp_path / "merged" / str(abs(hash(str(variant))))
    export_variant(str(variant), out, "model")
    base, merged = (load_variant_model(folder, device="cpu").network.state_dict() for folder in (pico_folder, out))
    return {name: merged[name].double() - base[name].double() for name in base}


@pytest.mark.parametrize(
    ("operation", "signs"), [("sum", (1.0, 1.0)), ("difference", (1.0, -1.0))], ids=["sum", "difference"]
)
def test_merged_weights_are_the_arithmetic_on_merged_weights(
    make_run: MakeRun, pico_folder: Path, tmp_path: Path, operation: str, signs: tuple[float, float]
) -> None:
    """A negated and an applied parent, with other ranks, targets and coefficients."""
    applied = make_run("applied", "ga", seed=1)
    negated = make_run("negated", "tv", seed=2, rank=3, targets=("v_proj", "down_proj"))
    run = combined(tmp_path / "run", operation, f"{applied}@0.5", f"{negated}@2")
    one, two, both = (
        merged_change(variant, pico_folder, tmp_path)
        for variant in (f"{applied}@0.5", f"{negated}@2", f"{run.folder}@1")
    )
    moved = 0
    for name in both:
        assert torch.allclose(both[name], signs[0] * one[name] + signs[1] * two[name], atol=2e-5), name
        moved += bool(both[name].abs().max() > 0.01)
    assert moved == 6, "q, v and down in both layers"
    assert run.manifest.combination is not None
    assert run.manifest.combination["residual"] == 0, "stacked factors are exact"


def test_a_vector_plus_itself_negated_is_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("one")
    with pytest.raises(ValueError, match="the result of difference is zero in every matrix"):
        combined(tmp_path / "zero", "difference", f"{one}@1", f"{one}@1.0")
    assert not (tmp_path / "zero" / "run.json").exists()


def test_sum_and_difference_undo_each_other(make_run: MakeRun, pico_folder: Path, tmp_path: Path) -> None:
    one, two = make_run("one", "sku", seed=1), make_run("two", "ga", seed=2)
    both = combined(tmp_path / "both", "sum", f"{one}@1.5", two)
    back = combined(tmp_path / "back", "difference", both.folder, two, rank=4)
    wanted, found = (merged_change(v, pico_folder, tmp_path) for v in (f"{one}@1.5", back.folder))
    assert all(torch.allclose(found[name], wanted[name], atol=2e-5) for name in wanted)
    assert back.manifest.combination is not None
    assert back.manifest.combination["residual"] < 1e-6, "the difference has rank 4, though its factors have 12"


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "search"])
def test_every_operation_makes_a_run_that_answers(
    make_run: MakeRun, pico_folder: Path, tmp_path: Path, operation: str
) -> None:
    parents = [make_run("one", "tv", seed=1), make_run("two", "ga", seed=2)]
    run = combined(tmp_path / "run", operation, *parents, rank=8, density=0.5, drop=0.5)
    manifest = runs.find_run(str(run.folder)).manifest
    assert (manifest.method, manifest.status, manifest.default_coefficient) == ("combined", "finished", 1.0)
    assert manifest.combination is not None
    assert [parent["runs"][0]["name"] for parent in manifest.combination["parents"]] == list(map(str, parents))
    assert [parent["runs"][0]["signed_coefficient"] for parent in manifest.combination["parents"]] == [-1.0, 1.0]
    assert manifest.combination["residual_by_module"].keys() == {
        f"model.layers.{layer}.self_attn.{kind}_proj" for layer in (0, 1) for kind in "qv"
    }
    exact = OPERATIONS[operation].linear
    assert (manifest.combination["residual"] == 0) == exact, "TIES, DARE and consensus of low ranks have full rank"
    assert TrainConfig.from_dict(manifest.config).rank == 8
    answers = LiveSession(str(pico_folder)).answers(["Hi"], [f"{run.folder}@1"], DecodingConfig(max_new_tokens=4))
    assert answers


def test_ties_of_one_run_at_density_1_is_that_run(make_run: MakeRun, pico_folder: Path, tmp_path: Path) -> None:
    one = make_run("one", "tv")
    run = combined(tmp_path / "run", "ties", f"{one}@0.7", density=1.0)
    wanted, found = (merged_change(v, pico_folder, tmp_path) for v in (f"{one}@0.7", run.folder))
    assert all(torch.allclose(found[name], wanted[name], atol=2e-5) for name in wanted)


def test_the_projection_is_orthogonal_in_merged_weights(make_run: MakeRun, pico_folder: Path, tmp_path: Path) -> None:
    one, two = make_run("one", "tv", seed=1), make_run("two", "ft", seed=2)
    run = combined(tmp_path / "run", "project", one, two)
    left, removed, whole = (merged_change(v, pico_folder, tmp_path) for v in (run.folder, two, one))
    for name, change in removed.items():
        size = float(change.norm() * whole[name].norm())
        if size:
            assert abs(float((left[name] * change).sum())) < 1e-4 * size
            assert abs(float((whole[name] * change).sum())) > 1e-3 * size, "there was something to remove"


def test_dare_depends_on_its_seed_alone(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("one")
    first, again, other = (combined(tmp_path / f"run{i}", "dare", one, seed=seed) for i, seed in enumerate((3, 3, 4)))
    texts = [(run.adapter / "adapter_model.safetensors").read_bytes() for run in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert first.manifest.seed == 3


def test_a_lower_rank_says_what_it_leaves_out(make_run: MakeRun, pico_folder: Path, tmp_path: Path) -> None:
    one, two = make_run("one", seed=1), make_run("two", seed=2)
    run = combined(tmp_path / "run", "sum", one, two, rank=3)
    exact, found = (merged_change(v, pico_folder, tmp_path) for v in (f"{one}@1+{two}@1", run.folder))
    assert run.manifest.combination is not None
    for module, residual in run.manifest.combination["residual_by_module"].items():
        name = f"{module}.weight"
        share = float((found[name] - exact[name]).norm() / exact[name].norm())
        assert share == pytest.approx(residual, abs=1e-4)
        assert residual > 0.1
    assert f"residual {run.manifest.combination['residual']:.2g}" in str(run.manifest.note)
    assert json.loads((run.adapter / "adapter_config.json").read_text())["r"] == 3


def test_a_combined_run_was_trained_on_the_data_of_its_parents(make_run: MakeRun, tmp_path: Path) -> None:
    """Also when it is combined again, and when one parent is noise."""
    one, two = make_run("one", "tv", seed=1), make_run("two", "ga", seed=2)
    both = combined(tmp_path / "both", "sum", one, two)
    again = combined(tmp_path / "again", "sum", both.folder, make_run("noise", "ga", seed=3))
    parents = load_training_prompts([runs.read_run(one)])
    assert parents.prompts
    assert load_training_prompts([both]) == load_training_prompts([again]) == parents


def test_categories_and_limits_of_parents_are_merged_so_that_no_training_prompt_is_missed(make_run: MakeRun) -> None:
    def run(**settings: Any) -> Run:
        found = runs.read_run(make_run(f"run{settings}"))
        return Run(found.folder, dataclasses.replace(found.manifest, config=found.manifest.config | settings))

    def merged(*found: Run) -> tuple[Any, Any]:
        settings = merged_training_data(found).settings
        return settings["categories"], settings["leave_out"]

    hacking, drugs, both = run(categories=["hacking"]), run(categories=["drugs"]), run(leave_out=["drugs", "theft"])
    assert merged(hacking, drugs) == (("drugs", "hacking"), ())
    assert merged(hacking, both) == ((), ()), "one of them was trained on all categories"
    assert merged(both, run(leave_out=["theft"])) == ((), ("theft",))
    assert "harmful_limit" not in merged_training_data([run(harmful_limit=3)]).settings


def test_parents_that_do_not_fit_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    one, other = make_run("one", "tv"), make_run("other", "tv", targets=("k_proj",))
    far = make_run("far", "tv", fingerprint="0123")
    out = tmp_path / "run"
    for operation, variants, settings, said in (
        ("sum", (one, far), {}, "runs of different bases cannot be combined"),
        ("project", (one, other), {}, "one@1 changes q_proj, v_proj; .*other@1 changes k_proj"),
        ("consensus", (one, other), {}, "choose runs with the same --target"),
        ("sum", (one, tmp_path / "nowhere"), {}, "nowhere' is not known"),
        ("sum", (one, "base"), {}, "has no vector to combine"),
        ("sum", (f"{one}@0",), {}, "has no vector to combine"),
        ("sum", (one,), {"rank": 33}, "rank 33 is too large: these matrices have at most rank 32"),
    ):
        with pytest.raises(ValueError, match=said):
            combined(out, operation, *variants, **settings)
    assert not out.exists()
    combined(out, "sum", one, other)
    with pytest.raises(FileExistsError, match="already holds a run"):
        combined(out, "sum", one, other)
    with pytest.raises(ValueError, match="use python -m sku combine"):
        run_training(tmp_path / "trained", TrainConfig(method="combined"))


def test_a_cancelled_combination_writes_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    config = CombineConfig("sum", (str(make_run("one")),))
    with pytest.raises(Cancelled):
        combine_runs(tmp_path / "run", config, cancelled=lambda: True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operation": "magic"}, "operation 'magic' is not known; choose one of sum, "),
        ({"operation": "difference"}, "needs at least 2 variants, but 1 came"),
        ({"density": 0.0}, "density is 0.0; it must be above 0"),
        ({"drop": 1.0}, "drop is 1.0; it must be from 0 and below 1"),
        ({"side": "test"}, "train or validation, never test"),
        ({"rank": 0}, "rank is 0; it must be from 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CombineConfig(**{"operation": "sum", "variants": ("ga",)} | settings)
