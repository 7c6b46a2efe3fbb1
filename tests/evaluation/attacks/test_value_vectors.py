"""Value vectors: exactly as before where the MLPs are, found in every architecture, compared by arithmetic."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from sku.core.errors import Cancelled
from sku.core.records import PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks import value_vectors as module
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.attacks.quantise import base_linear, decoder_linears, weight_change
from sku.evaluation.attacks.value_vectors import (
    choose_vectors,
    cosines,
    mean_activations,
    mean_token_overlap,
    mlp_output_layers,
    value_vectors,
    vectors,
)
from tests.conftest import build_network, save_adapter
from tests.evaluation.attacks.conftest import MEASURED, hooks_left, stop_at
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits

MLP = Variant("mlp", 1.0, {"mlp": 1.0})


def test_an_adapter_on_queries_and_values_leaves_the_traces_intact(any_context: AttackContext) -> None:
    with value_vectors(any_context, ONE) as attacked:
        details = attacked.details
    assert details["cosine"] == 1.0
    assert details["jaccard"] == 1.0
    assert details["activation"] != 1.0, "what reads the vectors has changed"


def test_the_base_is_its_own_reference(any_context: AttackContext) -> None:
    with value_vectors(any_context, BASE) as attacked:
        assert attacked.details == {"cosine": 1.0, "jaccard": 1.0, "activation": 1.0}


def test_an_adapter_on_the_mlps_changes_the_vectors(any_context: AttackContext) -> None:
    model, chosen = any_context.model, choose_vectors(any_context)
    base, tuned = vectors(model, chosen, {}), vectors(model, chosen, MLP.coefficients)
    assert -1 < float(cosines(base, tuned).mean()) < 0.99
    overlap = mean_token_overlap(model, base, tuned)
    assert overlap is not None
    assert 0 <= overlap < 1


def test_the_numbers_of_an_adapter_on_the_mlps(context: AttackContext, tmp_path: Path) -> None:
    network = build_network()
    context.model.add("mlp", save_adapter(network, tmp_path / "mlp", seed=2, targets=("up_proj", "down_proj")))
    with value_vectors(context, MLP) as attacked:
        assert -1 < attacked.details["cosine"] < 0.99
        assert 0 <= attacked.details["jaccard"] < 1
        assert attacked.details["activation"] > 0


def test_the_layer_of_the_value_vectors_is_the_last_of_each_mlp(any_context: AttackContext) -> None:
    model = any_context.model
    names = {layer: name for name, layer in decoder_linears(model)}
    found = [names[layer] for layer in mlp_output_layers(model)]
    last = "fc2" if model.network.config.model_type == "opt" else "mlp.down_proj"
    assert [name.split("layers.")[1] for name in found] == [f"0.{last}", f"1.{last}"]


def test_a_vector_is_a_column_of_the_merged_weight(any_context: AttackContext) -> None:
    model = any_context.model
    layer = mlp_output_layers(model)[1]
    change = weight_change(model, layer, MLP.coefficients)
    assert change is not None
    wanted = (base_linear(layer).weight + change)[:, 7]
    (found,) = vectors(model, torch.tensor([64 + 7]), MLP.coefficients)
    assert torch.equal(found, wanted)


def test_activations_are_those_of_answer_tokens_alone(any_context: AttackContext) -> None:
    model, pairs = any_context.model, MEASURED[:2]
    seen: list[torch.Tensor] = []
    layer = mlp_output_layers(model)[0]
    handle = layer.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].reshape(-1, 64)))
    for pair in pairs:
        ids = [*model.template.prompt_ids(pair.prompt), *model.template.answer_ids(pair.answer)]
        logits_of = torch.tensor([ids])
        with torch.no_grad(), model.rows([ONE.coefficients]) as network:
            network(input_ids=logits_of)
        seen[-1] = seen[-1][len(model.template.prompt_ids(pair.prompt)) :]
    handle.remove()
    found = mean_activations(model, ONE.coefficients, pairs)
    assert found.shape == (2, 64)
    torch.testing.assert_close(found[0], torch.cat(seen).abs().mean(0), atol=1e-4, rtol=1e-4)


def test_the_vectors_that_harmful_answers_use_beyond_normal_ones_are_chosen(
    context: AttackContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = {"harmful": torch.ones(2, 64), "normal": torch.ones(2, 64)}
    use["harmful"][1, 5] = use["harmful"][0, 9] = 100.0
    use["normal"][0, 9] = 200.0

    def given(_model: object, _coefficients: object, pairs: tuple[PromptPair, ...], _check: object) -> torch.Tensor:
        return use[pairs[0].kind]

    monkeypatch.setattr(module, "mean_activations", given)
    assert choose_vectors(context)[0] == 64 + 5
    assert 9 not in choose_vectors(context)
    assert len(choose_vectors(context)) == 50


def test_cosines_of_known_rows() -> None:
    a = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 2.0], [0.1, 0.7]])
    b = torch.tensor([[0.0, 5.0], [4.0, 3.0], [-1.0, -2.0], [0.1, 0.7]])
    found = cosines(a, b)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.96, -1.0, 1.0]).double())
    assert found[3] == 1.0


def test_the_overlap_of_tokens(context: AttackContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOP_TOKENS", 2)
    head = context.model.network.get_output_embeddings().weight
    head.data = torch.zeros_like(head)
    head.data[:4, :4] = torch.eye(4)
    a, b = torch.zeros(1, 32), torch.zeros(1, 32)
    a[0, :4] = torch.tensor([3.0, 2.0, 1.0, 0.0])
    b[0, :4] = torch.tensor([0.0, 3.0, 2.0, 1.0])
    assert mean_token_overlap(context.model, a, b) == pytest.approx(1 / 3)
    assert mean_token_overlap(context.model, torch.zeros(1, 8), torch.zeros(1, 8)) is None


@pytest.mark.parametrize("calls", [None, 1, 2, 3])
def test_nothing_is_left_behind(context: AttackContext, calls: int | None) -> None:
    before, hooks = logits(context.model, ONE.coefficients), hooks_left(context.model)
    if calls:
        with pytest.raises(Cancelled), value_vectors(dataclasses.replace(context, check=stop_at(calls)), ONE):
            pass
    else:
        with value_vectors(context, ONE) as attacked:
            assert attacked.model is context.model
    assert torch.equal(logits(context.model, ONE.coefficients), before)
    assert hooks_left(context.model) == hooks
