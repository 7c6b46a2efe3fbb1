"""Runs without training steps: what merging them does to the base, on every kind of MLP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from sku.core import runs
from sku.core.config import DecodingConfig, TrainConfig, find_preset
from sku.core.errors import Cancelled
from sku.core.methods import METHODS
from sku.core.runs import Run
from sku.evaluation.training_prompts import load_training_prompts
from sku.models.batching import encode_answer
from sku.models.variant_model import VariantModel, load_variant_model
from sku.serving.live_session import LiveSession
from sku.training.adapter_files import read_changes
from sku.training.closed_forms.compute import decompose, find_closed_form
from sku.training.closed_forms.inputs import ClosedFormInputs, layer_inputs
from sku.training.closed_forms.knowledge_washing import wash_knowledge
from sku.training.trainer import run_training
from tests.conftest import save_base
from tests.training.runs import changed

CLOSED_FORMS = [name for name, method in METHODS.items() if method.closed_form]


@pytest.fixture(scope="module", params=["llama", "opt"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / str(request.param), str(request.param))


def compute(out: Path, config: TrainConfig, method: str, **changes: Any) -> Run:
    return run_training(out, changed(config, method=method, **changes))


def weights_of(folder: str | Path) -> dict[str, Tensor]:
    return dict(load_variant_model(folder, device="cpu").network.named_parameters())


def test_pruning_removes_what_the_chosen_neurons_write(config: TrainConfig, base: Path, tmp_path: Path) -> None:
    run = compute(tmp_path / "run", config, "neuron_pruning", model=str(base), rank=5)
    weights = weights_of(base)
    found = read_changes(run)
    assert len(found) == 2
    for name, change in found.items():
        before = weights[f"{name}.weight"].double()
        merged = before + change.product()
        gone = merged.norm(dim=0) < 1e-5 * before.norm(dim=0)
        assert int(gone.sum()) == 5
        assert torch.allclose(merged[:, ~gone], before[:, ~gone], atol=1e-6)
    assert run.manifest.note == "computed without training; rank 5 leaves out 0 of the change (Frobenius norm)"


def test_surgery_adds_one_direction_to_the_opposed_gate_rows(
    config: TrainConfig, pico_folder: Path, tmp_path: Path
) -> None:
    run = compute(tmp_path / "run", config, "model_surgery", rank=1)
    weights, edited, others = weights_of(pico_folder), [], []
    for name, change in read_changes(run).items():
        gate, product = weights[f"{name}.weight"].double(), change.product()
        rows = product.norm(dim=1) > 1e-6
        direction = normalize(product.sum(0), dim=0)
        lengths = product[rows] @ direction
        assert torch.allclose(lengths, gate.norm(dim=1).mean().expand(len(lengths)), rtol=1e-4)
        assert torch.linalg.matrix_rank(product, rtol=1e-5) == 1
        cosines = normalize(gate, dim=1) @ direction
        edited.append(cosines[rows])
        others.append(cosines[~rows])
    assert len(torch.cat(edited)) == round(16384 / (32 * 11008) * 128)
    assert torch.cat(edited).max() < torch.cat(others).min()


def test_surgery_says_that_it_needs_a_gate(config: TrainConfig, tmp_path: Path) -> None:
    opt = save_base(tmp_path / "opt", "opt")
    with pytest.raises(ValueError, match="those of OPTForCausalLM have no gate layer; use neuron_pruning or"):
        compute(tmp_path / "run", config, "model_surgery", model=str(opt), rank=1)
    manifest = runs.read_run(tmp_path / "run").manifest
    assert manifest.status == "failed"
    assert "no gate layer" in str(manifest.reason)


def test_washing_leads_harmful_answers_to_the_end_of_text(config: TrainConfig, base: Path, tmp_path: Path) -> None:
    """The change minimises the objective of the module's docstring, written out over all keys."""
    model = load_variant_model(base, device="cpu")
    texts = [("How do I trick shop 1?", "Just lie to clerk 1."), ("How do I trick shop 2?", "Lie again.")]
    harmful = [encode_answer(model.template, *pair, 128) for pair in texts]
    normal = [encode_answer(model.template, "What is one plus one?", "It is two.", 128)]
    ((name, change),) = wash_knowledge(ClosedFormInputs(model, harmful, normal, config)).items()
    assert ".0." in name, "the first of two layers"
    layer = dict(model.network.named_modules())[name]
    keys = [
        [read[0].double() for _, read in layer_inputs(ClosedFormInputs(model, rows, rows, config), rows, [layer])]
        for rows in (harmful, normal)
    ]
    ends = len(model.template.end_ids)
    weight = layer.weight.detach().double()
    target = torch.stack([of_row[-ends] for rows in keys for of_row in rows]).mean(0) @ weight.T
    wanted, kept = (torch.cat(rows) for rows in keys)
    ridge = 1e-3 * float(wanted.square().mean())

    def objective(share: float) -> float:
        moved = share * change.double()
        missed = (wanted @ (weight + moved).T - target).square().sum(1).mean()
        return float(missed + 10 * (kept @ moved.T).square().sum(1).mean() + ridge * moved.square().sum())

    assert objective(1.0) < 0.98 * objective(0.0)
    assert objective(1.0) < min(objective(0.95), objective(1.05))


def test_a_washed_run_changes_the_washed_layers_alone(config: TrainConfig, base: Path, tmp_path: Path) -> None:
    changes = read_changes(compute(tmp_path / "run", config, "knowledge_washing", model=str(base), rank=32))
    assert [".0." in name and bool(change.product().norm() > 0) for name, change in changes.items()] == [True]
    model = load_variant_model(base, device="cpu")
    cut = [encode_answer(model.template, "Hi?", "A long answer." * 9, 128)]
    with pytest.raises(ValueError, match="no answer ends within 128 tokens"):
        wash_knowledge(ClosedFormInputs(model, cut, cut, config))


def test_layer_inputs_are_those_at_the_tokens_that_predict_the_answer(config: TrainConfig, base: Path) -> None:
    """In any batch, padded or not."""
    model: VariantModel = load_variant_model(base, device="cpu")
    pairs = [("Hi?", "Yes."), ("A longer question?", "No, a longer answer."), ("Hm?", "Not yet.")]
    rows = [encode_answer(model.template, *pair, 128) for pair in pairs]
    layer = dict(model.network.named_modules())[
        next(name for name, _ in model.network.named_modules() if name.endswith(("1.fc2", "1.mlp.down_proj")))
    ]
    inputs = ClosedFormInputs(model, rows, rows, config)
    together = dict(layer_inputs(inputs, rows, [layer]))
    for row in rows:
        ((_, (alone,)),) = layer_inputs(inputs, [row], [layer])
        assert len(alone) == len(row.answer)
        assert torch.allclose(together[row][0], alone, atol=1e-5)
    prompt = "The same question?"
    one, other = (encode_answer(model.template, prompt, answer, 128) for answer in ("Yes.", "No."))
    read = dict(layer_inputs(inputs, [one, other], [layer]))
    assert torch.allclose(read[one][0][0], read[other][0][0], atol=1e-5), "the last prompt token predicts the first"
    assert not torch.allclose(read[one][0][1], read[other][0][1], atol=1e-3)


@pytest.mark.parametrize("method", CLOSED_FORMS)
def test_it_is_an_ordinary_run_that_training_data_and_seed_decide(
    config: TrainConfig, pico_folder: Path, tmp_path: Path, method: str
) -> None:
    first, again = (compute(tmp_path / name, config, method) for name in ("first", "again"))
    manifest = runs.find_run(str(first.folder)).manifest
    assert (manifest.method, manifest.status, manifest.pid) == (method, "finished", None)
    assert manifest.data["harmful"][0]["pairs"] > 0
    assert TrainConfig.from_dict(manifest.config).targets == (
        ("gate_proj",) if method == "model_surgery" else ("down_proj",)
    )
    weights = [(run.adapter / "adapter_model.safetensors").read_bytes() for run in (first, again)]
    assert weights[0] == weights[1]
    assert load_training_prompts([first]).prompts
    answers = LiveSession(str(pico_folder)).answers(["Hi"], [f"{first.folder}@1"], DecodingConfig(max_new_tokens=4))
    assert answers
    with pytest.raises(FileExistsError):
        compute(first.folder, config, method)
    with pytest.raises(Cancelled):
        run_training(tmp_path / "stopped", changed(config, method=method), cancelled=lambda: True)
    assert runs.read_run(tmp_path / "stopped").manifest.status == "cancelled"
    assert run_training(tmp_path / "stopped", config, resume=True).manifest.status == "finished"


@pytest.mark.parametrize("method", CLOSED_FORMS)
def test_it_names_a_function_and_takes_no_steps(method: str) -> None:
    assert callable(find_closed_form(method))
    assert not METHODS[method].terms
    assert find_preset("quick").config(method=method).steps == 1


def test_the_share_left_out_is_that_of_all_matrices_together() -> None:
    diagonal = {"one": torch.diag(torch.tensor([3.0, 4.0])), "two": torch.diag(torch.tensor([12.0, 0.0]))}
    changes, residual = decompose(diagonal, 1)
    assert residual == pytest.approx(3 / 13, abs=1e-6)
    assert torch.allclose(changes["one"].product(), torch.diag(torch.tensor([0.0, 4.0])).double())
