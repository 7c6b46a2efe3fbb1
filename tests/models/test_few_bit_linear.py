"""Decoding steps with 4-bit weights: what each form promises, and where fp32 stays."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from sku.core.config import DecodingConfig
from sku.core.variants import BASE, Variant
from sku.models import arithmetic
from sku.models.altered_model import AlteredModel
from sku.models.arithmetic import ARITHMETICS, Arithmetic, arithmetic_status, chosen_arithmetic
from sku.models.few_bit_linear import FewBitLayers, FewBitLinear, FewBitProduct, Form, few_bit_weight, use_few_bits
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from sku.models.weight_rounding import int4_asymmetric, int8_symmetric
from sku.serving.live_session import LiveSession
from tests.conftest import ARCHITECTURES, build_network, byte_tokenizer, save_adapter

FORMS: list[Form] = ["exact", "quick"]
ONE = Variant("one", 1.0, {"one": -1.0})
PROMPTS = ["Hi", "Why is the sky blue?"]


def rounded_network(architecture: str = "llama") -> Any:
    """A pico network whose linear layers lie on a 4-bit grid, and its head on an 8-bit one, as in a Q4_1 file."""
    return on_the_grid(build_network(architecture))


def on_the_grid(network: Any) -> Any:
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = (int8_symmetric if "head" in name else int4_asymmetric)(layer.weight.data)
    return network


@pytest.fixture(params=["llama", "qwen2"])
def network(request: pytest.FixtureRequest) -> Any:
    return rounded_network(request.param)


def model_with(network: Any, form: Arithmetic, folder: Path) -> VariantModel:
    """A model with one adapter that decodes in `form`."""
    copied = copy.deepcopy(network)
    few_bits = None if form == "fp32" else use_few_bits(copied, form)
    model = VariantModel(copied, byte_tokenizer(), few_bits=few_bits)
    model.add("one", save_adapter(network, folder / form, seed=3))
    return model


def step_logits(model: VariantModel, rows: list[dict[str, float]], tokens: int = 1) -> Tensor:
    """Logits of a decoding step in which every row has the same tokens."""
    ids = torch.arange(60, 60 + tokens).expand(len(rows), tokens)
    with torch.no_grad(), model.decoding_rows(rows) as inside:
        logits: Tensor = inside(input_ids=ids).logits
    return logits


def texts(model: VariantModel) -> list[str]:
    config = DecodingConfig(max_new_tokens=16)
    return [one.text for one in generate_answers(model, PROMPTS, [Variant(BASE, 0.0), ONE], config)]


def test_codes_are_found_for_weights_on_a_grid_and_for_no_others() -> None:
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(1))
    four, eight = int4_asymmetric(weight), int8_symmetric(weight)
    for form in FORMS:
        found = few_bit_weight(four, form)
        assert found is not None
        assert found.bits == 4
        assert found.shifts is not None
        groups = (found.codes.float() - 8).view(48, 3, 32) * found.scales[..., None] + found.shifts[..., None]
        assert torch.allclose(groups.flatten(1), four, atol=1e-6)
        assert few_bit_weight(weight, form) is None
        assert few_bit_weight(four[:, :40], form) is None, "not a whole number of groups"
    assert few_bit_weight(eight, "exact") is None
    found = few_bit_weight(eight, "quick")
    assert found is not None
    assert torch.equal(((found.codes.float() - 128).view(48, 3, 32) * found.scales[..., None]).flatten(1), eight)


def rounded_to_8_bits(x: Tensor) -> Tensor:
    """Inputs as the quick form sees them."""
    groups = x.view(len(x), -1, 32)
    scale = groups.abs().amax(-1, keepdim=True) / 127
    return ((groups / scale).round() * scale).flatten(1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_product_is_the_fp32_one_of_the_inputs_as_the_form_rounds_them(form: Form, rows: int) -> None:
    draw = torch.Generator().manual_seed(2)
    weight = int4_asymmetric(torch.randn(80, 96, generator=draw))
    found = few_bit_weight(weight, form)
    assert found is not None
    x = torch.randn(rows, 96, generator=draw)
    product = FewBitProduct(weight, found, FewBitLayers(form), form)(x[:, None])[:, 0]
    middle = weight - (found.shifts[..., None].expand(80, 3, 32).flatten(1) if found.shifts is not None else 0)
    expected = x @ (weight - middle).T + (x if form == "exact" else rounded_to_8_bits(x)) @ middle.T
    assert torch.allclose(product, expected, atol=1e-4)
    assert torch.allclose(product, x @ weight.T, atol=1e-4) == (form == "exact"), "or the forms do not differ"


def test_the_quick_form_computes_the_layers_that_would_cost_most_exactly() -> None:
    config = ARCHITECTURES["llama"]()
    config.num_hidden_layers = 4
    network = on_the_grid(AutoModelForCausalLM.from_config(config))
    use_few_bits(network, "quick")
    quick = {
        name for name, layer in network.named_modules() if type(layer) is FewBitLinear and layer.product.form == "quick"
    }
    inside = ("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    assert quick == {"lm_head", *(f"model.layers.{i}.{name}" for i in (1, 2) for name in inside)}


@pytest.mark.parametrize("form", FORMS)
def test_coefficient_zero_is_the_base_bit_for_bit_in_each_form(network: Any, form: Form, tmp_path: Path) -> None:
    model = model_with(network, form, tmp_path)
    base, zero, one = step_logits(model, [{}, {"one": 0.0}, {"one": -1.0}])
    assert torch.equal(base, zero)
    assert not torch.allclose(base, one, atol=1e-2)


def test_exact_logits_are_fp32_up_to_rounding_and_texts_are_equal(network: Any, tmp_path: Path) -> None:
    fp32, exact, quick = (model_with(network, form, tmp_path) for form in ARITHMETICS)
    wanted = step_logits(fp32, [{}, {"one": -1.0}])
    assert (step_logits(exact, [{}, {"one": -1.0}]) - wanted).abs().max() < 1e-3
    assert 1e-3 < (step_logits(quick, [{}, {"one": -1.0}]) - wanted).abs().max() < 0.2 * wanted.abs().max()
    assert texts(exact) == texts(fp32)


@pytest.mark.parametrize("form", FORMS)
def test_only_decoding_steps_leave_fp32(network: Any, form: Form, tmp_path: Path) -> None:
    fp32, model = model_with(network, "fp32", tmp_path), model_with(network, form, tmp_path)
    assert model.few_bits
    assert model.few_bits.count == 14 + (form == "quick"), "all linear layers, and the head where it is quicker"
    ids = torch.tensor([[65], [66]])
    with torch.no_grad():
        given: list[list[dict[str, float]]] = [[{}, {}], [{}, {"one": -1.0}]]
        for rows in given:
            with fp32.rows(rows) as one, model.rows(rows) as other:
                assert torch.equal(one(input_ids=ids).logits, other(input_ids=ids).logits), "likelihoods and KL"
        one, other = (m.network(input_ids=ids.T).logits for m in (fp32, model))
        assert torch.equal(one, other), "at rest"
    prompt = [step_logits(m, [{}], tokens=5)[:, :-1] for m in (fp32, model)]
    if form == "exact":  # of `quick`, the head of the last token is a decoding step
        assert torch.equal(*prompt)


@pytest.mark.parametrize("form", FORMS)
def test_other_weights_in_place_are_computed_in_fp32(network: Any, form: Form, tmp_path: Path) -> None:
    """What the quantised product was made from is gone: an attack, an edit or a copy must never meet old codes."""
    fp32, model = model_with(network, "fp32", tmp_path), model_with(network, form, tmp_path)

    def altered(of: VariantModel) -> AlteredModel:
        weight = of.network.model.layers[0].mlp.up_proj.weight
        return AlteredModel(of, weights={weight: weight * 0.5})

    assert texts(altered(model)) == texts(altered(fp32)) != texts(fp32)
    for layer in [m for m in model.network.modules() if isinstance(m, FewBitLinear)]:
        copied, x = copy.deepcopy(layer), torch.ones(2, 1, layer.in_features)
        assert model.few_bits
        with torch.no_grad(), model.few_bits.used():
            expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
            assert torch.equal(copied(x), expected)
            layer.weight.mul_(1.0)
            assert torch.equal(layer(x), expected)


def test_a_network_off_the_grid_stays_as_it_is() -> None:
    network = build_network()
    assert use_few_bits(network, "quick") is None
    assert not any(isinstance(module, FewBitLinear) for module in network.modules())


@pytest.mark.parametrize("wanted", ARITHMETICS)
def test_the_setting_overrides_the_default(wanted: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (arithmetic_status().page, arithmetic_status().commands) == ("fp32", "fp32")
    monkeypatch.setenv("SKU_ARITHMETIC", wanted)
    assert [chosen_arithmetic(default) for default in ARITHMETICS] == [wanted] * 3
    assert (arithmetic_status().forced, arithmetic_status().page) == (wanted, wanted)


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKU_ARITHMETIC", "int4")
    with pytest.raises(ValueError, match="SKU_ARITHMETIC is 'int4'; set it to fp32, exact, quick, or unset it"):
        chosen_arithmetic("quick")


def test_without_the_library_everything_is_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "onnxruntime_version", lambda: None)
    assert chosen_arithmetic("quick") == "fp32"
    monkeypatch.setenv("SKU_ARITHMETIC", "exact")
    with pytest.raises(ValueError, match="SKU_ARITHMETIC is exact, which needs onnxruntime; pip install onnxruntime"):
        chosen_arithmetic("quick")


def test_a_session_says_in_which_arithmetic_it_answers(tmp_path: Path, pico_folder: Path) -> None:
    rounded_network().save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    for folder, found in ((tmp_path / "base", "quick"), (pico_folder, "fp32")):
        session = LiveSession(str(folder), "quick")
        assert session.status.arithmetic == "fp32"
        session.load()
        assert session.status.arithmetic == found, "fp32 where the weights are on no grid"


@pytest.mark.parametrize("form", ["exact", "quick"])
def test_layers_share_one_pool_of_threads_and_compute_alike_with_any_number(form: Form) -> None:
    weight = int4_asymmetric(torch.randn(80, 96, generator=torch.Generator().manual_seed(1)))
    found, x = few_bit_weight(weight, form), torch.randn(3, 96, generator=torch.Generator().manual_seed(2))
    assert found is not None
    before = torch.get_num_threads()
    products = []
    try:
        for threads in (1, 2, 2, 1, 2):
            torch.set_num_threads(threads)
            products.append(FewBitProduct(weight, found, FewBitLayers(form), form)(x[:, None])[:, 0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, products[0]) for one in products)
