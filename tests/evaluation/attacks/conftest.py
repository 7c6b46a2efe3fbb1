"""A pico model, pairs to attack it with, and the plan of an attack measurement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sku.core.config import DecodingConfig
from sku.core.errors import Cancelled
from sku.core.records import PromptPair
from sku.core.runs import Manifest, Run
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_data import AttackData
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.plan import MeasuredVariant
from sku.models.variant_model import VariantModel
from tests.conftest import ARCHITECTURES, build_network, byte_tokenizer, save_adapter


def pair(i: int, category: str, answer: str | None = None) -> PromptPair:
    return PromptPair(f"How {i}?", answer or f"Just do {i} and be quick about it.", "harmful", "test", category)


DATA = AttackData(
    harmful=tuple(pair(i, "theft") for i in range(100, 108)),
    normal=tuple(PromptPair(f"What is {i}?", f"It is {i}.", "normal", "test") for i in range(6)),
    sounds_harmful=tuple(PromptPair(f"How to kill {i}?", f"Press {i}.", "normal", "test") for i in range(6)),
    examples=tuple(pair(i, "fraud") for i in range(200, 204)),
    held_out=tuple(PromptPair(f"What is {i} cut in half?", f"{i / 2}.", "normal", "test") for i in range(6, 12)),
)
MEASURED = tuple(pair(i, "fraud") for i in range(5))
OWN = tuple(PromptPair(f"Why {i}?", f"Because of {i}.", "normal", "test") for i in range(3))


@pytest.fixture
def context(duo: VariantModel, tmp_path: Path) -> AttackContext:
    """The pico model with both adapters."""
    return AttackContext(duo, DATA, MEASURED, tmp_path / "trained")


@pytest.fixture
def subjects(adapters: dict[str, Path], tmp_path: Path) -> tuple[MeasuredVariant, ...]:
    """The base and two adapters."""
    runs = {}
    for name, method in (("one", "sku"), ("two", "ga")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter").symlink_to(adapters[name])
        runs[name] = Run(tmp_path / name, Manifest(method, {"seed": 3}, "pico", ""))
    return (
        MeasuredVariant(Variant("base", 0.0)),
        MeasuredVariant(Variant("one", 1.0, {"one": -1.0}), {"one": runs["one"]}),
        MeasuredVariant(Variant("two", 0.5, {"two": 0.5}), {"two": runs["two"]}),
    )


@pytest.fixture
def make_plan(subjects: tuple[MeasuredVariant, ...]) -> Callable[..., AttackPlan]:
    def make(*attacks: str, **settings: Any) -> AttackPlan:
        decoding = DecodingConfig(max_new_tokens=6)
        return AttackPlan("pico", subjects, MEASURED, OWN, attacks, DATA, decoding=decoding, **settings)

    return make


@pytest.fixture(params=list(ARCHITECTURES))
def any_context(request: pytest.FixtureRequest, tmp_path: Path) -> AttackContext:
    """A pico model of every architecture with an adapter `one` on queries and values, and `mlp` on the MLPs."""
    network = build_network(request.param)
    model = VariantModel(network, byte_tokenizer())
    mlp = ("fc1", "fc2") if request.param == "opt" else ("up_proj", "down_proj")
    model.add("one", save_adapter(network, tmp_path / "one", seed=1))
    model.add("mlp", save_adapter(build_network(request.param), tmp_path / "mlp", seed=2, targets=mlp))
    return AttackContext(model, DATA, MEASURED, tmp_path / "trained")


def hooks_left(model: VariantModel) -> int:
    """The number of forward hooks on all modules."""
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())


def stop_at(calls: int) -> Callable[[], None]:
    """A check that raises `Cancelled` when it is called for the `calls`-th time."""
    made = 0

    def check() -> None:
        nonlocal made
        made += 1
        if made == calls:
            raise Cancelled("stop")

    return check
