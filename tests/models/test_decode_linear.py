"""Matrix products for few rows: equal to `nn.Linear`, used only where they are faster, and chosen once per machine."""

import dataclasses
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import linear

from sku.core.config import DecodingConfig
from sku.core.variants import BASE, Variant
from sku.models import decode_linear
from sku.models.decode_linear import (
    MATMUL_KERNELS,
    MEASURED_ROWS,
    DecodeLinear,
    MatmulKernel,
    fastest_matmul,
    make_decode_linear,
    use_decode_linear,
)
from sku.models.generation import stream_answers
from sku.models.matmul_choice import (
    MATMUL_NAMES,
    MATMUL_VARIABLE,
    FastestMatmuls,
    MatmulChoice,
    MatmulName,
    matmul_file,
)
from sku.models.variant_model import VariantModel, load_variant_model
from tests.conftest import build_network

SOME_OUTPUTS = 64, 40  # whole blocks, and not
LARGE = 5_000, 576  # outputs and inputs; six such layers are not small


def layer(bias: bool, outputs: int = 40) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(24, outputs, bias=bias)


def quick(plain: nn.Linear, small: MatmulKernel, large: MatmulKernel, more: MatmulKernel) -> nn.Linear:
    make_decode_linear(plain, small, large, more)
    return plain


@pytest.fixture(autouse=True)
def nothing_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MATMUL_VARIABLE, raising=False)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@given(
    rows=st.integers(1, 40),
    steps=st.integers(1, 3),
    bias=st.booleans(),
    outputs=st.sampled_from(SOME_OUTPUTS),
    name=st.sampled_from(MATMUL_NAMES),
)
def test_the_products_are_those_of_a_linear_layer(
    rows: int, steps: int, bias: bool, outputs: int, name: MatmulName
) -> None:
    x, matmul = draw(rows, steps, 24), MATMUL_KERNELS[name]
    with torch.no_grad():
        found = quick(layer(bias, outputs), matmul, matmul, matmul)(x)
        torch.testing.assert_close(found, layer(bias, outputs)(x))
    assert found.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_onednn_takes_parts_of_a_batch_and_leaves_other_precisions_to_pytorch(dtype: torch.dtype) -> None:
    plain, x = layer(False).to(dtype), draw(20, 3, 24).to(dtype)[:, -1]
    with torch.no_grad():
        expected = plain(x)
        found = quick(plain, *[MATMUL_KERNELS["onednn"]] * 3)(x)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found, expected) or dtype == torch.float32


@pytest.mark.parametrize(("rows", "taken"), [(1, "small"), (3, "small"), (4, "large"), (14, "large"), (15, "more")])
def test_the_number_of_rows_decides_which_product_is_used(rows: int, taken: str) -> None:
    used: list[str] = []

    def noting(name: str) -> MatmulKernel:
        def matmul(x: Tensor, weight: Tensor) -> Tensor:
            used.append(name)
            return linear(x, weight)

        return matmul

    with torch.no_grad():
        quick(layer(True), noting("small"), noting("large"), noting("more"))(torch.randn(rows, 1, 24))
    assert used == [taken]


def test_a_training_uses_the_plain_layer() -> None:
    def never(*_: Tensor) -> Tensor:
        raise AssertionError("a product for decoding in a training")

    x = draw(3, 24)
    assert torch.equal(quick(layer(True), never, never, never)(x), layer(True)(x))


def large() -> nn.Sequential:
    torch.manual_seed(0)
    outputs, inputs = LARGE
    return nn.Sequential(*(nn.Linear(inputs, outputs, bias=False) for _ in range(6)))


TRIPLES: list[tuple[MatmulName, MatmulName, MatmulName]] = [
    ("linear", "linear", "linear"),
    ("linear", "blocks", "linear"),
    ("transposed", "linear", "linear"),
    ("linear", "linear", "onednn"),
]


@pytest.mark.parametrize("fastest", TRIPLES)
def test_layers_are_changed_only_where_it_pays(
    fastest: tuple[MatmulName, MatmulName, MatmulName], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict(zip(MEASURED_ROWS, fastest, strict=True))
    monkeypatch.setattr(decode_linear, "fastest_matmul", lambda _, rows: found[rows])
    network, plain = large(), large()
    assert use_decode_linear(network) == MatmulChoice(FastestMatmuls(*fastest), "measured")
    pays = set(fastest) != {"linear"}
    assert [type(one) for one in network] == [DecodeLinear if pays else nn.Linear] * len(network)
    assert network.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(5, LARGE[1])
    with torch.no_grad():
        torch.testing.assert_close(network[0](x), plain[0](x))


def test_a_small_network_and_half_precision_stay_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_linear, "fastest_matmul", lambda *_: "blocks")
    for network in (build_network(), large().half()):
        assert use_decode_linear(network) is None
        assert not any(isinstance(module, DecodeLinear) for module in network.modules())


# --- one choice per machine ---


def products(network: nn.Module) -> set[tuple[str, str, str]]:
    """The names of the products for small, large and still larger batches, over all linear layers."""
    names = {kernel: name for name, kernel in MATMUL_KERNELS.items()}
    return {
        (names[module.small_batch], names[module.large_batch], names[module.more_rows])
        if isinstance(module, DecodeLinear)
        else ("", "", "")
        for module in network.modules()
        if isinstance(module, nn.Linear)
    }


def race_won_by(name: MatmulName, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `name` is the product that measures as the fastest."""
    monkeypatch.setattr(decode_linear, "fastest_matmul", lambda *_: name)


def test_a_later_start_takes_what_the_first_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = []
    winners: list[MatmulName] = ["blocks", "transposed"]
    for winner in winners:
        race_won_by(winner, monkeypatch)
        network = large()
        choice = use_decode_linear(network)
        assert choice
        origins.append(choice.origin)
        assert products(network) == {("blocks", "blocks", "blocks")}
    assert origins == ["measured", "remembered"]


@pytest.mark.parametrize("change", ["shapes", "threads", "torch_version", "processor_name"])
def test_what_changes_the_fastest_product_is_measured_anew(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    race_won_by("blocks", monkeypatch)
    use_decode_linear(large())
    race_won_by("transposed", monkeypatch)
    network = large()
    if change == "shapes":
        network.append(nn.Linear(LARGE[1], 64, bias=False))
    elif change == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    else:
        monkeypatch.setattr(decode_linear, change, lambda: "another")
    choice = use_decode_linear(network)
    assert choice
    assert choice.origin == "measured"
    assert products(network) == {("transposed", "transposed", "transposed")}


@pytest.mark.parametrize("forced", MATMUL_NAMES)
def test_a_forced_product_beats_the_remembered_one(forced: MatmulName, monkeypatch: pytest.MonkeyPatch) -> None:
    race_won_by("blocks", monkeypatch)
    use_decode_linear(large())
    monkeypatch.setenv(MATMUL_VARIABLE, forced)
    network = large()
    assert use_decode_linear(network) == MatmulChoice(FastestMatmuls(forced, forced, forced), "forced")
    assert products(network) == {("", "", "") if forced == "linear" else (forced, forced, forced)}
    monkeypatch.delenv(MATMUL_VARIABLE)
    choice = use_decode_linear(large())
    assert choice == MatmulChoice(FastestMatmuls("blocks", "blocks", "blocks"), "remembered"), (
        "forcing must not be remembered"
    )


def test_a_wrong_name_stops_the_load_with_the_right_ones(pico_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MATMUL_VARIABLE, "fastest")
    with pytest.raises(
        ValueError, match="SKU_MATMUL is 'fastest'; set it to linear, transposed, blocks, onednn, or unset it"
    ):
        load_variant_model(pico_folder, device="cpu")


def greedy(model: VariantModel) -> list[tuple[int, ...]]:
    """Greedy answers to one, and to eight prompts, so that both ranges of rows are used."""
    prompts = [
        f"Why is {thing} blue?" for thing in ("the sky", "ice", "a whale", "ink", "a vein", "Neptune", "jazz", "x")
    ]
    model.template = dataclasses.replace(model.template, stop_ids=frozenset())
    config = DecodingConfig(max_new_tokens=12)
    batches = [prompts[:1], prompts]
    found = [w for batch in batches for w in list(stream_answers(model, batch, [Variant(BASE, 0.0)], config))[-1]]
    return [tuple(written.tokens) for written in found]


def test_two_loads_on_one_machine_write_the_same_greedy_text(
    pico_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_linear, "MIN_WEIGHT_BYTES", 0)
    monkeypatch.setitem(MATMUL_KERNELS, "blocks", lambda x, weight: -linear(x, weight))  # rounding, made visible
    race_won_by("transposed", monkeypatch)
    first = load_variant_model(pico_folder, device="cpu")
    race_won_by("blocks", monkeypatch)  # the other would win now
    second = load_variant_model(pico_folder, device="cpu")
    assert first.matmul
    assert second.matmul
    assert (first.matmul.origin, second.matmul.origin) == ("measured", "remembered")
    assert greedy(first) == greedy(second)
    matmul_file().unlink()
    assert greedy(load_variant_model(pico_folder, device="cpu")) != greedy(first), "this test would show nothing"


def test_the_text_is_that_of_linear_layers_whichever_product_serves(
    pico_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = greedy(load_variant_model(pico_folder, device="cpu"))
    assert len(set(plain)) > 4, "equal rows would show nothing"
    for name in MATMUL_NAMES:
        monkeypatch.setenv(MATMUL_VARIABLE, name)
        assert greedy(load_variant_model(pico_folder, device="cpu")) == plain


# --- measuring ---


@pytest.mark.parametrize("best", MATMUL_NAMES)
def test_the_product_that_took_least_time_is_chosen(best: MatmulName, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def costing(seconds: float, matmul: MatmulKernel) -> MatmulKernel:
        def run(x: Tensor, weight: Tensor) -> Tensor:
            nonlocal clock
            clock += seconds
            return matmul(x, weight)

        return run

    costly = {name: costing(1.0 if name == best else 2.0, matmul) for name, matmul in MATMUL_KERNELS.items()}
    monkeypatch.setattr(decode_linear, "MATMUL_KERNELS", costly)
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    assert fastest_matmul([torch.ones(64, 8)] * 5, 3) == best


def test_only_the_last_weights_of_a_large_network_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def matmul(x: Tensor, weight: Tensor) -> Tensor:
        met.append(len(weight))
        return linear(x, weight)

    monkeypatch.setattr(decode_linear, "MATMUL_KERNELS", {"linear": matmul})
    monkeypatch.setattr(decode_linear, "MAX_MEASURED_BYTES", 4 * 8 * (30 + 20))
    assert fastest_matmul([torch.ones(n, 8) for n in (10, 20, 30)], 3) == "linear"
    assert set(met) == {20, 30}
