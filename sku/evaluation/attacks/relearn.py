"""Relearning: a fresh adapter is trained on a few pairs, beside the variant's own (arXiv:2410.08827, arXiv:2505.22310).

Adding a fresh adapter is the same as merging the variant and training on: theta_v + B A, with B = 0 at first. So the
variant under attack is a row of coefficients too, and no weight of the base changes. How fast the likelihood of given
harmful answers returns says how deep the forgetting is.
"""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sku.core.peft_folders import PEFT_WEIGHTS
from sku.core.records import PromptPair, digest
from sku.core.variants import Variant
from sku.evaluation.attacks.attack_data import AttackData
from sku.evaluation.attacks.attacked_likelihood import mean_given_log_prob
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel, variant_key
from sku.evaluation.attacks.quantise import base_linear, decoder_linears
from sku.evaluation.given_answers import encode_given
from sku.models.batching import collate
from sku.models.gating import gated_rows
from sku.models.likelihood import answer_token_logits
from sku.models.variant_model import VariantModel

RANK, ALPHA, BATCH_PAIRS, MAX_TOKENS, SEED = 8, 16, 4, 96, 0
LOOKS = (0, 2, 5, 10, 15, 20, 30, 40, 50)
"""Steps after which the likelihood of given harmful answers is measured."""
CURVE_PAIRS = 20
"""Given answers that it is measured on."""


@contextmanager
def relearn(
    context: AttackContext, variant: Variant, on: str, learning_rate: float, steps: int
) -> Iterator[AttackedModel]:
    """The variant with a fresh adapter that was trained on a few pairs.

    Args:
        context: its folder keeps the trained adapter, so that the same attack does not train it again.
        variant: what is attacked.
        on: the pairs of the attack data: harmful, normal or sounds_harmful.
        learning_rate: of AdamW, constant.
        steps: optimiser steps of `BATCH_PAIRS` pairs.

    Raises:
        Cancelled: if the user stopped; nothing of the adapter is left in the model.
    """
    pairs, curve = pairs_of(context.data, on), _curve_pairs(context.measured)
    key = digest(
        variant_key(context.model, variant.coefficients), f"{on}-{learning_rate:g}-{steps}", *(p.id for p in pairs)
    )
    folder = context.folder / f"relearned-{key}"
    details = folder / f"curve-{digest(*(pair.id for pair in curve))}.json"
    context.folder.mkdir(parents=True, exist_ok=True)
    with _training_lock(context, folder.with_name(f"{folder.name}.lock")):
        if not (details if curve else folder).exists():
            _train(context, variant, folder, details.name, pairs, learning_rate, steps)
    name = f"{folder.name}-{uuid.uuid4().hex[:8]}"  # two visitors may use the same adapter at once
    context.model.add(name, folder / "adapter")
    try:
        found = json.loads(details.read_text(encoding="utf-8")) if curve else {}
        yield AttackedModel(context.model, variant.coefficients | {name: 1.0}, found)
    finally:
        context.model.remove(name)


@contextmanager
def _training_lock(context: AttackContext, path: Path) -> Iterator[None]:
    """Wait until nobody else trains the same adapter. A user may stop while waiting."""
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            context.check()
    try:
        yield
    finally:
        lock.release()


def pairs_of(data: AttackData, on: str) -> Sequence[PromptPair]:
    """The pairs of one kind of attack data.

    Raises:
        ValueError: if there are none.
    """
    pairs: Sequence[PromptPair] = {
        "harmful": data.harmful,
        "normal": data.normal,
        "sounds_harmful": data.sounds_harmful,
    }[on]
    if not pairs:
        raise ValueError(f"there are no {on} pairs to relearn from; give the attack data some")
    return pairs


def _train(
    context: AttackContext,
    variant: Variant,
    folder: Path,
    details: str,
    pairs: Sequence[PromptPair],
    learning_rate: float,
    steps: int,
) -> None:
    """Train a fresh adapter into `folder`, which appears only when it is complete; its file `details` has the curve.

    If the folder is there already, it keeps its adapter, which is equal, and gets the curve.
    """
    model, making, name = context.model, folder.with_name(f".{folder.name}.making"), f"{folder.name}-training"
    shutil.rmtree(making, ignore_errors=True)
    write_fresh_adapter(model, making / "adapter")
    model.add(name, making / "adapter")
    try:
        attacked = AttackedModel(model, variant.coefficients | {name: 1.0})
        factors = _factors(model, name)
        look = _Looks(context, attacked, steps)
        optimizer = torch.optim.AdamW(factors.values(), lr=learning_rate, weight_decay=0.0)
        look.at(0)
        for step in range(steps):
            context.check()
            _step(model, attacked, factors, _batch(pairs, step), optimizer)
            look.at(step + 1)
        for factor in factors.values():
            factor.requires_grad_(False)
        save_file(
            {key: factor.detach().contiguous() for key, factor in factors.items()},
            making / "adapter" / PEFT_WEIGHTS,
            metadata={"format": "pt"},
        )
        (making / details).write_text(json.dumps(look.details()), encoding="utf-8")
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    finally:
        model.remove(name)
    if folder.is_dir():
        (making / details).replace(folder / details)
        shutil.rmtree(making)
    else:
        making.rename(folder)


def _step(
    model: VariantModel,
    attacked: AttackedModel,
    factors: dict[str, nn.Parameter],
    pairs: Sequence[PromptPair],
    optimizer: torch.optim.Optimizer,
) -> None:
    rows = [encode_given(model, pair, MAX_TOKENS) for pair in pairs]
    batch = collate(rows).to(model.device)
    coefficients = gated_rows(model, rows, [attacked.coefficients] * len(pairs))
    with model.rows(coefficients) as network, torch.enable_grad():
        for factor in factors.values():
            factor.requires_grad_(True)
        tokens = answer_token_logits(network, batch)
        torch.autograd.backward(cross_entropy(tokens.logits.float(), tokens.targets))
    optimizer.step()
    optimizer.zero_grad()


class _Looks:
    """The likelihood of given harmful answers along the training."""

    def __init__(self, context: AttackContext, attacked: AttackedModel, steps: int) -> None:
        self.context, self.attacked, self.steps = context, attacked, steps
        self.pairs = _curve_pairs(context.measured)
        self.base = self._measure(AttackedModel(context.model, {}))
        self.found: dict[str, float | None] = {}

    def at(self, step: int) -> None:
        """Measure after `step` steps, if it is time to."""
        if step in LOOKS or step == self.steps:
            self.found[str(step)] = self._measure(self.attacked)
            self.context.say(f"relearning: {step} of {self.steps} steps")

    def details(self) -> dict[str, Any]:
        """`log_prob_by_step`, `base_log_prob` and `steps_to_base`."""
        reached = [
            int(step)
            for step, value in self.found.items()
            if value is not None and self.base is not None and value >= self.base
        ]
        return {
            "log_prob_by_step": self.found,
            "base_log_prob": self.base,
            "steps_to_base": min(reached, default=None),
        }

    def _measure(self, attacked: AttackedModel) -> float | None:
        return mean_given_log_prob(attacked, self.pairs, MAX_TOKENS) if self.pairs else None


def _curve_pairs(measured: Sequence[PromptPair]) -> list[PromptPair]:
    return sorted(measured, key=lambda pair: pair.id)[:CURVE_PAIRS]


def _batch(pairs: Sequence[PromptPair], step: int) -> list[PromptPair]:
    """The pairs of one step: every pass has an order of its own, the same in every attack."""
    per_pass = math.ceil(len(pairs) / BATCH_PAIRS)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(SEED + step // per_pass)).tolist()
    start = step % per_pass * BATCH_PAIRS
    return [pairs[i] for i in order[start : start + BATCH_PAIRS]]


def write_fresh_adapter(model: VariantModel, folder: Path) -> None:
    """Write an adapter with B = 0 and random A on the modules that PEFT adapts by default in this architecture.

    Raises:
        ValueError: if PEFT knows no default for this architecture.
    """
    kind = model.network.config.model_type
    targets = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(kind)
    places = [(name, layer) for name, layer in decoder_linears(model) if targets and name.rpartition(".")[2] in targets]
    if not places:
        raise ValueError(f"relearning needs the attention layers of a {kind} model, and PEFT has no default for it")
    generator, tensors = torch.Generator().manual_seed(SEED), dict[str, Tensor]()
    for name, layer in places:
        linear = base_linear(layer)
        bound = 1 / math.sqrt(linear.in_features)
        a = torch.empty(RANK, linear.in_features).uniform_(-bound, bound, generator=generator)
        tensors |= {_key(name, "A"): a, _key(name, "B"): torch.zeros(linear.out_features, RANK)}
    folder.mkdir(parents=True)
    LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=sorted(targets or ()), task_type="CAUSAL_LM").save_pretrained(
        str(folder)
    )
    save_file(tensors, folder / PEFT_WEIGHTS, metadata={"format": "pt"})


def _factors(model: VariantModel, name: str) -> dict[str, nn.Parameter]:
    """The trained factors of adapter `name`, by their name in an adapter file."""
    return {
        _key(place, factor): getattr(layer, f"lora_{factor}")[name].weight
        for place, layer in decoder_linears(model)
        if isinstance(layer, LoraLayer) and name in layer.lora_A
        for factor in ("A", "B")
    }


def _key(place: str, factor: str) -> str:
    return f"base_model.model.{place}.lora_{factor}.weight"
