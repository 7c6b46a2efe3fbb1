"""What an attack's procedures get and give. `core/attacks.py` names them as text.

An `AskProcedure` changes a prompt, the same for every variant. A `WeakenProcedure` changes the model of one variant; it
is a context manager, and after it the model is as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from sku.core.attacks import Attack
from sku.core.records import AskedPrompt, PromptPair, digest
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_data import AttackData
from sku.models.variant_model import VariantModel


def ask_as_it_is(pair: PromptPair) -> list[AskedPrompt]:
    """The prompt, unchanged."""
    return [AskedPrompt(pair.prompt, pair.prompt)]


@dataclass(frozen=True)
class AttackedModel:
    """One variant while it is attacked."""

    model: VariantModel
    coefficients: dict[str, float]
    """The row of signed coefficients under which it answers."""
    details: dict[str, Any] = field(default_factory=dict)
    """For `ResultRow.attack_details`."""
    ask: Callable[[PromptPair], Sequence[AskedPrompt]] = ask_as_it_is
    """How a prompt is put to it."""


@dataclass(frozen=True)
class AttackContext:
    """What the procedures may use."""

    model: VariantModel
    data: AttackData
    measured: Sequence[PromptPair] = ()
    """The harmful pairs whose likelihood says how much came back. An attack never trains on them."""
    folder: Path = Path()
    """Where an attack keeps what it trained, so that it is not trained twice."""
    say: Callable[[str], None] = lambda _: None
    """Tells the user what a slow step does."""
    check: Callable[[], None] = lambda: None
    """Called between steps; raises `Cancelled` once the user wants to stop."""


class AskProcedure(Protocol):
    """Changes one prompt."""

    def __call__(self, context: AttackContext, pair: PromptPair, **settings: Any) -> list[AskedPrompt]:
        """The ways in which the prompt is asked; empty if the attack needs something that this pair lacks."""


class WeakenProcedure(Protocol):
    """Changes the model of one variant for as long as the context manager is open."""

    def __call__(
        self, context: AttackContext, variant: Variant, **settings: Any
    ) -> AbstractContextManager[AttackedModel]:
        """The variant under attack."""


def find_ask(attack: Attack) -> AskProcedure | None:
    """The attack's procedure that changes prompts; None if it has none."""
    return resolve_name(f"{__package__}.{attack.ask}") if attack.ask else None


def find_weaken(attack: Attack) -> WeakenProcedure | None:
    """The attack's procedure that changes the model; None if it has none."""
    return resolve_name(f"{__package__}.{attack.weaken}") if attack.weaken else None


def variant_key(model: VariantModel, coefficients: Mapping[str, float]) -> str:
    """A key for what an attack trains on a variant: equal only for the same base, adapter weights and coefficients."""
    from peft.tuners.lora import LoraLayer  # slow to import, and questions without an attack pass this file

    parts = [model.fingerprint]
    for name in sorted(coefficients):
        state = hashlib.sha256()
        for layer in model.network.modules():
            if isinstance(layer, LoraLayer) and name in layer.lora_A:
                for factor in (layer.lora_A[name].weight, layer.lora_B[name].weight):
                    state.update(factor.detach().cpu().contiguous().float().numpy().tobytes())
        if name in model.gates:
            state.update(model.gates[name].key.encode())
        parts.append(f"{state.hexdigest()[:16]}*{coefficients[name]:g}")
    return digest(*parts)
