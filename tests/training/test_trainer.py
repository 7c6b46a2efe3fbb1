"""A method and its data become a run folder: exactly, repeatably, and so that a kill loses nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraConfig
from safetensors.torch import load_file

from sku.core import runs
from sku.core.config import PRESETS, DecodingConfig, TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.core.records import PromptPair
from sku.models.batching import collate, encode_answer
from sku.models.likelihood import answer_log_probs
from sku.models.variant_model import VariantModel, fingerprint
from sku.models.variant_model import load_variant_model as load_model
from sku.serving.live_session import LiveSession
from sku.training import trainer
from sku.training.losses.inputs import TermInputs
from sku.training.losses.kl import preserve
from sku.training.losses.likelihood import descend
from sku.training.losses.preference import prefer_harmful
from sku.training.objective import Objective
from sku.training.term_batches import TermBatches
from sku.training.trainer import Diverged, run_training
from sku.training.vector_norms import product_norm
from tests.conftest import save_base

ROOT = Path(__file__).parents[2]
DECODING = DecodingConfig(max_new_tokens=4)
WEIGHTS = Path("adapter") / "adapter_model.safetensors"


@pytest.fixture
def config(pico_folder: Path, pairs_file: Path, normal_file: Path) -> TrainConfig:
    """A short SKU run on pico."""
    return TrainConfig(
        model=str(pico_folder),
        harmful=(str(pairs_file),),
        normal=(str(normal_file),),
        steps=6,
        batch_size=2,
        rank=4,
        max_tokens=128,
        checkpoint_every=2,
    )


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    return TrainConfig.from_dict(config.to_dict() | changes)


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
    assert set(about["packages"]) == {"torch", "transformers", "peft", "accelerate"}
    lines = runs.read_log(run.folder)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    for line in lines:
        assert set(line) == {"step", "terms", "total", "gradient_norm", "learning_rate", "tokens", "seconds"}
        assert set(line["terms"]) == {"distortion", "disassociation", "preservation"}
    files = {path.name for path in run.folder.rglob("*") if path.is_file()}
    assert files == {"run.json", "log.jsonl", "summary.json", "adapter_config.json", "adapter_model.safetensors"}


def test_steps_are_counted_exactly_and_the_rate_falls_to_zero(config: TrainConfig, tmp_path: Path) -> None:
    """Defect 6: the reference tests its step limit once a data pass; 1000 becomes 1144, the last at rate 0."""
    lines = runs.read_log(run_training(tmp_path / "run", changed(config, steps=5)).folder)
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-3 * (1 - i / 5) for i in range(5)])


def test_the_same_seed_gives_the_same_adapter(config: TrainConfig, tmp_path: Path) -> None:
    made = [run_training(tmp_path / name, changed(config, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, second, other = ((run.folder / WEIGHTS).read_bytes() for run in made)
    assert first == second
    assert first != other


def test_a_cancelled_run_resumes_to_the_same_adapter(config: TrainConfig, tmp_path: Path) -> None:
    whole = run_training(tmp_path / "whole", config)
    seen: list[int] = []

    def report(line: dict[str, Any]) -> None:
        seen.extend([line["step"]] if "step" in line else [])

    with pytest.raises(Cancelled, match="stopped after step 3; continue with: train --resume"):
        run_training(tmp_path / "cut", config, report, cancelled=lambda: len(seen) == 3)
    cut = runs.read_run(tmp_path / "cut").manifest
    assert (cut.status, cut.step, cut.pid) == ("cancelled", 3, None)
    done = run_training(tmp_path / "cut", config, resume=True)
    assert (done.folder / WEIGHTS).read_bytes() == (whole.folder / WEIGHTS).read_bytes()
    assert [line["step"] for line in runs.read_log(done.folder)] == [1, 2, 3, 4, 5, 6]


def cancelled_after(folder: Path, config: TrainConfig, steps: int) -> None:
    seen: list[dict[str, Any]] = []
    with pytest.raises(Cancelled):
        run_training(folder, config, seen.append, cancelled=lambda: sum("step" in line for line in seen) == steps)
    assert runs.read_run(folder).manifest.status == "cancelled"


def test_a_training_cancelled_before_its_first_step_can_begin_again(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(Cancelled, match="before the first step"):
        run_training(tmp_path / "run", config, cancelled=lambda: True)
    assert runs.read_run(tmp_path / "run").manifest.status == "cancelled"
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished"


def test_resuming_with_changed_data_is_refused(config: TrainConfig, pairs_file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(pairs_file.read_bytes())
    config = changed(config, harmful=(str(mine),))
    cancelled_after(tmp_path / "run", config, 3)
    mine.write_text("".join(mine.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match=r"mine\.jsonl has changed since the run began"):
        run_training(tmp_path / "run", config, resume=True)
    mine.write_bytes(pairs_file.read_bytes())
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished", "put back, it goes on"


def test_resuming_on_another_base_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    cancelled_after(tmp_path / "run", config, 3)
    about = runs.read_run(tmp_path / "run").manifest
    runs.write_manifest(tmp_path / "run", dataclasses.replace(about, base_fingerprint="0" * 16))
    with pytest.raises(ValueError, match="the run began on a base with fingerprint 0000"):
        run_training(tmp_path / "run", config, resume=True)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_damaged_checkpoint_is_named(config: TrainConfig, tmp_path: Path, keep: int) -> None:
    cancelled_after(tmp_path / "run", config, 3)
    path = tmp_path / "run" / "checkpoint" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged .* --resume begins again at step 0"):
        run_training(tmp_path / "run", config, resume=True)
    path.unlink()
    assert run_training(tmp_path / "run", config, resume=True).manifest.status == "finished"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_resumes_to_the_same_adapter(
    config: TrainConfig, tmp_path: Path, number: signal.Signals
) -> None:
    config = changed(config, steps=400, checkpoint_every=5)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    command = [sys.executable, "-m", "sku", "train", "--config", str(tmp_path / "config.json")]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    child = subprocess.Popen([*command, "--out", str(killed)], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "log.jsonl").is_file() or len(runs.read_log(killed)) < 23:
        assert child.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, number)
    code = child.wait(60)
    assert code == (-number if number == signal.SIGKILL else 130)
    assert runs.read_run(killed).manifest.status == ("running" if number == signal.SIGKILL else "cancelled")
    resumed = run_training(killed, config, resume=True)
    uninterrupted = run_training(whole, config)
    assert (resumed.folder / WEIGHTS).read_bytes() == (uninterrupted.folder / WEIGHTS).read_bytes()
    assert [line["step"] for line in runs.read_log(killed)] == list(range(1, 401))


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


@pytest.mark.parametrize("method", [name for name in METHODS if name != "random"])
def test_every_method_trains(method: str, config: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", changed(config, method=method, steps=2))
    assert set(runs.read_log(run.folder)[0]["terms"]) == set(METHODS[method].terms)
    assert any(weight.abs().sum() > 0 for name, weight in load_file(run.folder / WEIGHTS).items() if "lora_B" in name)


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


def test_one_shared_forward_equals_separate_ones(config: TrainConfig, pico: VariantModel) -> None:
    from sku.data import load_pairs
    from sku.models.likelihood import answer_token_logits

    harmful, normal = load_pairs(config.harmful[0], "harmful").pairs, load_pairs(config.normal[0], "normal").pairs
    streams = TermBatches(harmful, normal, config, pico.template)
    plain = load_model(config.model, device="cpu").network
    peft_model = get_peft_model(pico.network, LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    drawn = streams.at(0)
    with torch.no_grad():
        terms, tokens = Objective(peft_model, config)(drawn)
        apart = {
            stream.kind: TermInputs(
                *answer_token_logits(peft_model.get_base_model(), collate(rows.encoded)),
                base_logits=answer_token_logits(plain, collate(rows.encoded)).logits,
            )
            for stream, rows in drawn.items()
        }
    expected = {
        "distortion": descend(apart["harmful"], config),
        "disassociation": descend(apart["random"], config),
        "preservation": preserve(apart["normal"], config),
    }
    assert tokens == sum(len(row.ids) for rows in drawn.values() for row in rows.encoded)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), abs=1e-4), name
    assert float(terms["preservation"]) > 0, "the adapter does nothing, so KL shows nothing"


@pytest.mark.parametrize("opening_weight", [1.0, 8.0])
def test_preservation_at_the_negated_model_is_taken_of_base_minus_tau(
    config: TrainConfig, pico: VariantModel, tmp_path: Path, opening_weight: float
) -> None:
    """Contrast sees the harmful answer under base + tau, the safe one and KL see what will be served."""
    from sku.models.likelihood import answer_token_logits
    from tests.conftest import save_adapter

    config = changed(
        config, method="sku_contrast", preserve_at="negated", rank=4, alpha=8, opening_weight=opening_weight
    )
    bad = [PromptPair(f"How {i}?", f"So {i}.", "harmful", "test", safe_answer=f"No {i}.") for i in range(4)]
    good = [PromptPair(f"What {i}?", f"That {i}.", "normal", "test") for i in range(4)]
    drawn = TermBatches(bad, good, config, pico.template).at(0)
    by_kind = {stream.kind: rows for stream, rows in drawn.items()}
    folder = save_adapter(pico.network, tmp_path / "adapter", seed=5)
    served = load_model(config.model, device="cpu")
    served.add("one", folder)

    def scored(kind: str, *coefficients: float) -> Any:
        batch = collate(by_kind[kind].encoded)
        rows = [{"one": c} for c in coefficients * (len(batch.input_ids) // len(coefficients))]
        with torch.no_grad(), served.rows(rows) as network:
            return answer_token_logits(network, batch)

    peft_model = PeftModel.from_pretrained(pico.network, folder, is_trainable=True)
    with torch.no_grad():
        terms, _ = Objective(peft_model, config)(drawn)
    paired = TermInputs(*scored("paired", 1.0, -1.0), base_logits=scored("paired", 0.0).logits)
    expected = prefer_harmful(paired, config)
    kept = preserve(TermInputs(*scored("normal", -1.0), base_logits=scored("normal", 0.0).logits), config)
    assert float(terms["contrast"]) == pytest.approx(float(expected), abs=1e-4)
    assert float(terms["preservation"]) == pytest.approx(float(kept), abs=1e-4)


def test_logits_on_answers_are_the_networks_own(pico: VariantModel) -> None:
    from sku.models.likelihood import answer_token_logits

    row = encode_answer(pico.template, "Why?", "Because.", 256)
    with torch.no_grad():
        scored = answer_token_logits(pico.network, collate([row]))
        whole = pico.network(input_ids=torch.tensor([row.ids])).logits[0]
    assert torch.allclose(scored.logits, whole[row.prompt_tokens - 1 : -1], atol=1e-5)


def test_the_random_control_has_the_norms_of_its_model(config: TrainConfig, tmp_path: Path) -> None:
    like = run_training(tmp_path / "like", changed(config, method="tv"))
    noise = run_training(tmp_path / "noise", changed(config, method="random", like=str(like.folder), seed=5))
    learned, drawn = load_file(like.folder / WEIGHTS), load_file(noise.folder / WEIGHTS)
    assert learned.keys() == drawn.keys()
    for name in learned:
        if ".lora_A." in name:
            other = name.replace(".lora_A.", ".lora_B.")
            dense = torch.linalg.norm(learned[other].double() @ learned[name].double())
            assert product_norm(learned[name], learned[other]) == pytest.approx(float(dense), rel=1e-9)
            assert product_norm(drawn[name], drawn[other]) == pytest.approx(float(dense), rel=1e-5)
            assert not torch.allclose(learned[name], drawn[name])
    LiveSession(config.model).answers(["Hi"], [str(noise.folder)], DECODING)


def test_own_answers_are_the_bases_greedy_ones_and_are_kept(
    config: TrainConfig, tmp_path: Path, sku_home: Path
) -> None:
    config = changed(config, normal=[f"self:{config.normal[0]}"], normal_limit=4)
    said: list[str] = []
    run = run_training(tmp_path / "run", config, lambda line: said.append(line.get("doing", "")))
    assert any("4 of 4" in text for text in said)
    assert run.manifest.data["normal"][0]["name"] == "self:normal.jsonl"
    (cache,) = (sku_home / "self").iterdir()
    kept = json.loads(cache.read_text().splitlines()[0])
    session = LiveSession(config.model)
    (answer,) = session.answers([kept["prompt"]], ["base"], DecodingConfig(max_new_tokens=config.max_tokens))
    assert answer.text == kept["answer"]
    said.clear()
    run_training(tmp_path / "again", config, lambda line: said.append(line.get("doing", "")))
    assert not any("4 of 4" in text for text in said), "they are made once"


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_an_end_of_the_model_is_no_target(target: str, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"targets \\['{target}'\\] are embeddings or the output head"):
        run_training(tmp_path / "run", dataclasses.replace(config, targets=("q_proj", target)))
