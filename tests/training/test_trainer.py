"""A method and its data become a run folder: exactly, repeatably, and so that a kill loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sku.core import runs
from sku.core.config import PRESETS, TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.models.batching import encode_answer
from sku.models.likelihood import answer_log_probs
from sku.models.variant_model import VariantModel, fingerprint
from sku.models.variant_model import load_variant_model as load_model
from sku.serving.live_session import LiveSession
from sku.training import trainer
from sku.training.objective import Objective
from sku.training.trainer import Diverged, run_training
from tests.conftest import save_base
from tests.training.runs import WEIGHTS, changed


def test_the_run_folder_holds_what_the_contract_says(config: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", config)
    about = json.loads((run.folder / "run.json").read_text())
    assert about["status"] == "finished"
    assert about["config"] == json.loads(json.dumps(config.to_dict()))
    assert about["base_fingerprint"] == fingerprint(load_model(config.model, device="cpu").network)
    (harmful,) = about["data"]["harmful"]
    assert harmful["name"] == "pairs.jsonl", "no path of our machine"
    assert harmful["pairs"] > 10
    assert len(harmful["hash"]) == 16
    assert set(about["spent"]) == {"loading", "answers", "preparing", "steps"}, "every second is one kind of work"
    assert about["spent"]["steps"] >= about["seconds"] > 0
    assert about["answers_written"] == 0
    assert set(about["packages"]) == {"torch", "transformers", "peft", "accelerate"}
    lines = runs.read_log(run.folder)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    for line in lines:
        assert set(line) == {"step", "terms", "total", "gradient_norm", "learning_rate", "tokens", "seconds"}
        assert set(line["terms"]) == {"distortion", "disassociation", "preservation"}
    files = {path.name for path in run.folder.rglob("*") if path.is_file()}
    assert files - {".lock"} == {
        "run.json",
        "log.jsonl",
        "summary.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_steps_are_counted_exactly_and_the_rate_falls_to_zero(config: TrainConfig, tmp_path: Path) -> None:
    """Defect 6: the reference tests its step limit once a data pass; 1000 becomes 1144, the last at rate 0."""
    lines = runs.read_log(run_training(tmp_path / "run", changed(config, steps=5)).folder)
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-3 * (1 - i / 5) for i in range(5)])


def test_the_same_seed_gives_the_same_adapter(config: TrainConfig, tmp_path: Path) -> None:
    made = [run_training(tmp_path / name, changed(config, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, second, other = ((run.folder / WEIGHTS).read_bytes() for run in made)
    assert first == second
    assert first != other


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = Objective.forward

    def poisoned(self: Objective, drawn: Any) -> Any:
        calls.append(1)
        terms, tokens = forward(self, drawn)
        return {name: term * (float("nan") if len(calls) == 4 else 1.0) for name, term in terms.items()}, tokens

    monkeypatch.setattr(Objective, "forward", poisoned)
    with pytest.raises(Diverged, match=r"loss of step 4 is nan; the newest checkpoint is kept"):
        run_training(tmp_path / "run", config)
    run = runs.read_run(tmp_path / "run")
    assert (run.manifest.status, run.manifest.step) == ("failed", 2)
    assert "step 4" in str(run.manifest.reason)
    assert not run.adapter.exists()
    monkeypatch.setattr(Objective, "forward", forward)
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished"


def test_snapshots_are_runs_of_their_own_along_one_training(config: TrainConfig, tmp_path: Path) -> None:
    plain = run_training(tmp_path / "plain", config)
    run = run_training(tmp_path / "run", changed(config, snapshots=[2, 4]))
    assert (run.folder / WEIGHTS).read_bytes() == (plain.folder / WEIGHTS).read_bytes(), "looking must not change it"
    kept = [runs.read_run(run.folder / f"step-{step}") for step in (2, 4)]
    assert [one.manifest.step for one in kept] == [2, 4]
    weights = {one.folder.name: (one.folder / WEIGHTS).read_bytes() for one in [*kept, run]}
    assert len(set(weights.values())) == 3
    question = [("How do I trick shop number 3?", "Just lie to clerk 3.")]
    ((base, early),) = LiveSession(config.model).score(question, ["base", str(kept[0].folder)], 128)
    assert early != base


def test_a_run_is_not_overwritten(config: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", config)
    with pytest.raises(FileExistsError, match="--resume"):
        run_training(tmp_path / "run", config)


def test_a_run_that_never_began_may_be_begun_again(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known"):
        run_training(tmp_path / "run", changed(config, harmful=["nosuch"]))
    assert runs.read_run(tmp_path / "run").manifest.status == "failed"
    assert run_training(tmp_path / "run", config).manifest.status == "finished"


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.terms])
def test_every_method_trains_and_resumes_to_the_same_adapter(method: str, config: TrainConfig, tmp_path: Path) -> None:
    config = changed(config, method=method, steps=3, max_tokens=96, harmful_limit=8)
    run = run_training(tmp_path / "run", config)
    assert set(runs.read_log(run.folder)[0]["terms"]) == set(METHODS[method].terms)
    weights = load_file(run.folder / WEIGHTS)
    assert any(weight.abs().sum() > 0 for name, weight in weights.items() if "lora_B" in name)
    with pytest.raises(Cancelled):
        run_training(tmp_path / "cut", config, cancelled=(tmp_path / "cut" / runs.LOG).is_file)
    resumed = run_training(tmp_path / "cut", config, resume=True)
    assert [line["step"] for line in runs.read_log(resumed.folder)] == [1, 2, 3]
    assert (resumed.folder / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize(("method", "served"), [("dpo", 1.0), ("sku_contrast", -1.0)])
def test_what_preference_adds_and_contrast_subtracts_favours_the_safe_answer(
    method: str, served: float, config: TrainConfig, tmp_path: Path
) -> None:
    file = tmp_path / "both.jsonl"
    answers = {"answer": "Like this and so.", "safe_answer": "I would rather not."}
    pairs = [{"prompt": f"How {i}?", **answers} for i in range(8)]
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    settings = {"harmful": (str(file),), "steps": 12, "learning_rate": 1e-2, "weights": {"preservation": 0.0}}
    run = run_training(tmp_path / "run", changed(config, method=method, **settings))
    model = load_model(config.model, device="cpu")
    model.add("one", run.adapter)
    gained = []
    for answer in answers.values():
        encoded = encode_answer(model.template, "How 1?", answer, config.max_tokens)
        base, after = answer_log_probs(model, [encoded] * 2, [{}, {"one": served}])
        gained.append(after - base)
    assert gained[0] < gained[1]
    assert gained[1] > 0


@pytest.mark.parametrize("method", ["npo", "simnpo", "ceu"])
def test_what_is_served_gives_a_harmful_answer_less_likelihood_than_the_base(
    method: str, config: TrainConfig, tmp_path: Path
) -> None:
    file = tmp_path / "harmful.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": f"How {i}?", "answer": "Like this and so."}) + "\n" for i in range(6))
    )
    off = {"retention": 0.0}
    settings = {"harmful": (str(file),), "steps": 12, "learning_rate": 1e-2, "max_tokens": 64, "weights": off}
    out = run_training(tmp_path / "run", changed(config, method=method, **settings)).folder
    ((base, served),) = LiveSession(config.model).score([("How 1?", "Like this and so.")], ["base", f"{out}@1"], 64)
    assert served < base - 0.05


@pytest.mark.parametrize("architecture", ["opt", "llama"])
@pytest.mark.parametrize("name", ["opt-2.7b", "llama2-7b", "llama2-13b"])
def test_published_presets_run_on_their_architectures(
    name: str, architecture: str, config: TrainConfig, tmp_path: Path
) -> None:
    """Base models without a chat template; the settings are the preset's but for model, data and steps."""
    base = save_base(tmp_path / "base", architecture, chat=False)
    run = run_training(
        tmp_path / "run",
        PRESETS[name].config(model=str(base), harmful=config.harmful, normal=config.normal, steps=2, dtype="float32"),
    )
    assert runs.read_log(run.folder)[-1]["terms"]["preservation"] < 0, "push is minus KL"
    saved = json.loads((run.adapter / "adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"]) == ((16, 8) if name == "llama2-13b" else (32, 16))


def test_the_base_is_untouched(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect 8: the reference subtracts in place, from the base it was given."""
    trained: list[VariantModel] = []

    def load(*given: Any) -> VariantModel:
        trained.append(load_model(*given))
        return trained[-1]

    monkeypatch.setattr(trainer, "load_model", load)
    before = (Path(config.model) / "model.safetensors").read_bytes()
    run_training(tmp_path / "run", changed(config, learning_rate=0.1))
    assert (Path(config.model) / "model.safetensors").read_bytes() == before
    (model,) = trained
    parameters = {name.replace(".base_layer", ""): weight for name, weight in model.network.named_parameters()}
    base = dict(load_model(config.model, device="cpu").network.named_parameters())
    assert {name for name in parameters if "lora_" not in name} == base.keys()
    assert all(torch.equal(parameters[name], weight) for name, weight in base.items())


def test_distortion_teaches_and_negation_unteaches(config: TrainConfig, tmp_path: Path) -> None:
    config = changed(config, method="tv", steps=60, batch_size=4, learning_rate=1e-2)
    out = tmp_path / "run"
    run_training(out, config)
    harmful = [("How do I trick shop number 3?", "Just lie to clerk 3.")]
    session = LiveSession(config.model)
    ((base, acquired, negated),) = session.score(harmful, ["base", f"acquired:{out}@1", f"{out}@1"], 128)
    assert acquired > base + 0.1, "stage 1 must teach"
    assert negated < base - 0.1, "stage 2 must unteach"
