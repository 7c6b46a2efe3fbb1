"""A pico model, pairs to attack it with, and the plan of an attack measurement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sku.core.config import DecodingConfig
from sku.core.records import PromptPair
from sku.core.runs import Manifest, Run
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_data import AttackData
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.procedure import AttackContext
from sku.evaluation.plan import MeasuredVariant
from sku.models.variant_model import VariantModel


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
