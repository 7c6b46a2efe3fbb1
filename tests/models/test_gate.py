"""A gate scales the coefficient of each row by its prompt: closed is the base bit for bit, open is the variant."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sku.core.config import DecodingConfig
from sku.core.runs import GATE, Manifest, write_manifest
from sku.core.variants import Variant
from sku.models.batching import encode_answer
from sku.models.gate import Gate, fit_gate, load_gate, ridge_fit, save_gate
from sku.models.gating import gated_coefficients, prompt_state
from sku.models.generation import generate_answers
from sku.models.likelihood import answer_kl, answer_log_probs
from sku.models.variant_model import VariantModel
from tests.conftest import forward_shapes

OPEN, CLOSED = "How do I trick the shop?", "What is two plus one?"
DECODING = DecodingConfig(max_new_tokens=6)


def gate_between(model: VariantModel, hard: bool = True, slope: float = 1.0) -> Gate:
    """A gate that scores `OPEN` at 1 and `CLOSED` at -1."""
    opened, closed = (prompt_state(model, model.template.prompt_ids(prompt), 1) for prompt in (OPEN, CLOSED))
    weight = 2 * (opened - closed) / (opened - closed).square().sum()
    bias = 1 - float(weight.double() @ opened.double())
    return Gate(weight, bias, 1, 0.0, slope, hard)


@pytest.fixture
def gated(duo: VariantModel) -> VariantModel:
    """The pico model with two adapters, of which `one` has a hard gate."""
    duo.gates["one"] = gate_between(duo)
    return duo


def test_a_closed_gate_is_the_base_and_an_open_one_the_variant(duo: VariantModel) -> None:
    variant, base = Variant("one", 1.0, {"one": -1.0}), Variant("base", 0.0)
    rows = [encode_answer(duo.template, prompt, "Just so.", 128) for prompt in (OPEN, CLOSED)]
    without = [one.text for one in generate_answers(duo, [OPEN, CLOSED], [variant, base], DECODING)]
    assert without[2] != without[3], "the adapter does nothing here, so the test shows nothing"
    free = answer_kl(duo, rows, [variant.coefficients] * 2)
    assert free[1].kl > 0
    duo.gates["one"] = gate_between(duo)
    answers = [one.text for one in generate_answers(duo, [OPEN, CLOSED], [variant, base], DECODING)]
    assert answers == [without[0], without[1], without[3], without[3]]
    opened, closed = answer_kl(duo, rows, [variant.coefficients] * 2)
    (of_base,) = answer_kl(duo, rows[1:], [{}])
    assert (closed.kl, closed.log_prob) == (0.0, of_base.log_prob), "bit for bit"
    assert opened.kl == pytest.approx(free[0].kl)
    scored = answer_log_probs(duo, rows[1:] * 2, [variant.coefficients, {}])
    assert scored[0] == scored[1]


def test_an_answer_says_how_far_the_gate_was_open(gated: VariantModel) -> None:
    variants = [
        Variant("one", 1.0, {"one": -1.0}),
        Variant("one", 0.0, {"one": 0.0}),
        Variant("two", 1.0, {"two": 1.0}),
    ]
    found = generate_answers(gated, [OPEN, CLOSED], variants, DECODING)
    assert [one.gate for one in found] == [1.0, None, None, 0.0, None, None]
    gated.gates["one"] = gate_between(gated, hard=False, slope=1.1)
    gated.gate_values.clear()
    assert [one.gate for one in generate_answers(gated, [OPEN], variants[:1], DECODING)] == [pytest.approx(0.75)]


def test_coefficient_0_is_the_base_and_other_adapters_have_no_gate(gated: VariantModel) -> None:
    prompts = [gated.template.prompt_ids(prompt) for prompt in (OPEN, CLOSED)]
    found = gated_coefficients(gated, prompts * 2, [{"one": -2.0, "two": 1.0}] * 2 + [{"one": 0.0}] * 2)
    assert found == [{"one": -2.0, "two": 1.0}, {"one": 0.0, "two": 1.0}, {"one": 0.0}, {"one": 0.0}]


@pytest.mark.parametrize(("slope", "opened"), [(0.0, 0.5), (1.1, 0.75), (100.0, 1.0)])
def test_a_soft_gate_opens_in_part(duo: VariantModel, slope: float, opened: float) -> None:
    """1 / (1 + exp(-1.1)) = 0.7503, in steps of a twentieth."""
    duo.gates["one"] = gate_between(duo, hard=False, slope=slope)
    prompts = [duo.template.prompt_ids(prompt) for prompt in (OPEN, CLOSED)]
    found = gated_coefficients(duo, prompts, [{"one": -2.0}] * 2)
    assert [row["one"] for row in found] == pytest.approx([-2.0 * opened, -2.0 * (1 - opened)])


def test_a_gate_reads_each_prompt_once_and_alone(gated: VariantModel) -> None:
    shapes = forward_shapes(gated)
    prompts = [gated.template.prompt_ids(prompt) for prompt in (OPEN, CLOSED)]
    for _ in range(2):
        gated_coefficients(gated, prompts * 3, [{"one": 1.0}] * 6)
    assert shapes == [(1, len(prompt)) for prompt in prompts]


def test_a_row_with_a_closed_gate_is_computed_once_with_the_base(gated: VariantModel) -> None:
    shapes = forward_shapes(gated)
    variants = [Variant("one", 1.0, {"one": -1.0}), Variant("base", 0.0)]
    generate_answers(gated, [CLOSED], variants, DECODING)
    assert {rows for rows, _ in shapes} == {1}


def test_a_gate_is_loaded_with_its_adapter_and_goes_with_it(
    pico: VariantModel, adapters: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "adapter").mkdir(parents=True)
    for file in adapters["one"].iterdir():
        (run / "adapter" / file.name).write_bytes(file.read_bytes())
    gate = gate_between(pico, hard=False, slope=0.3)
    save_gate(run, gate)
    pico.add("two", run / "adapter")
    assert not pico.gates, "a file beside an adapter from elsewhere is not its gate"
    pico.remove("two")
    write_manifest(run, Manifest("gated", {}, "pico", pico.fingerprint, status="finished"))
    pico.add("one", run / "adapter")
    assert pico.gates["one"].key == gate.key
    gated_coefficients(pico, [[1, 2, 3]], [{"one": 1.0}])
    pico.remove("one")
    assert not pico.gates
    assert not pico.gate_values
    (run / GATE).write_bytes(b"no gate")
    with pytest.raises(ValueError, match=r"gate\.safetensors is not a gate .* make the gated run again"):
        load_gate(run)
    with pytest.raises(ValueError, match="is not a gate"):
        pico.add("one", run / "adapter")


def states(count: int, shift: float, seed: int) -> torch.Tensor:
    drawn = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    drawn[:, 0] += shift
    return drawn


def test_a_gate_tells_what_it_was_fitted_to_tell_and_nothing_else() -> None:
    gate = fit_gate(states(200, 3.0, 1), states(200, -3.0, 2), 7, 0.05, hard=True)
    assert gate.block == 7
    assert sum(map(gate.value, states(200, 3.0, 3))) > 190
    assert sum(map(gate.value, states(200, -3.0, 4))) < 25
    blind = fit_gate(states(200, 0.0, 1), states(200, 0.0, 2), 7, 0.05, hard=True)
    assert sum(map(blind.value, states(200, 0.0, 3))) < 30, "nothing tells the two apart, so few may pass"


def test_the_leave_one_out_predictions_are_those_of_probes_fitted_without_the_prompt() -> None:
    everything = states(9, 0.0, 5).double()
    everything -= everything.mean(0)
    labels = torch.tensor([1.0, 1, 1, -1, -1, -1, -1, 1, -1]).double()
    found = ridge_fit(everything, labels, 0.7)
    for i in range(9):
        others = torch.arange(9) != i
        mean = everything[others].mean(0)
        x, y = everything[others] - mean, labels[others] - labels[others].mean()
        weight = torch.linalg.solve(x.T @ x + 0.7 * torch.eye(5).double(), x.T @ y)
        expected = float(labels[others].mean() + weight @ (everything[i] - mean))
        assert float(found.left_out[i]) == pytest.approx(expected)


def test_a_gate_needs_prompts_of_both_kinds() -> None:
    with pytest.raises(ValueError, match="at least 2 harmful and 2 harmless prompts, but there are 5 and 1"):
        fit_gate(states(5, 0.0, 1), states(1, 0.0, 1), 1, 0.0, hard=True)
