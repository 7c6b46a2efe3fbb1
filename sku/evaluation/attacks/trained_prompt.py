"""What the soft prompt and the searched suffix share: the pairs, the loss, and the file that keeps what was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from sku.core.records import PromptPair, digest
from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext, variant_key
from sku.models.batching import Batch
from sku.models.likelihood import answer_token_logits
from sku.models.variant_model import VariantModel


class Found(NamedTuple):
    """The result of a training or a search."""

    values: Tensor
    """Vectors `[N, H]`, or tokens `[N]`."""
    losses: list[float]
    """Nats per answer token, before the first step and after each."""

    @property
    def details(self) -> dict[str, Any]:
        """The losses that result rows record."""
        return {"first_loss": self.losses[0], "last_loss": self.losses[-1]}


def training_pairs(context: AttackContext, count: int) -> tuple[PromptPair, ...]:
    """The pairs that the attack trains on.

    Raises:
        ValueError: if the attack data have fewer.
    """
    if len(context.data.harmful) < count:
        raise ValueError(
            f"the attack trains on {count} harmful pairs and its data have {len(context.data.harmful)}; give it more"
        )
    return context.data.harmful[:count]


def find_once(
    context: AttackContext, variant: Variant, settings: Mapping[str, Any], find: Callable[[], Found]
) -> Found:
    """The result of `find`, from the file that an earlier call with equal model, settings and data left.

    Args:
        context: its folder keeps the file.
        variant: what is attacked.
        settings: everything that the result depends on; `attack` names the file.
        find: trains or searches.
    """
    key = digest(variant_key(context.model, variant.coefficients), repr(sorted(settings.items())), context.data.key)
    path = context.folder / f"{settings['attack']}-{key}.safetensors"
    if not path.is_file():
        _write(path, find())
    tensors = load_file(path)
    return Found(tensors["values"].to(context.model.device), tensors["losses"].tolist())


def answer_loss(model: VariantModel, coefficients: Mapping[str, float], batch: Batch) -> Tensor:
    """The mean negative log-probability of the answer tokens of `batch`, in nats; gradients reach the model's hooks."""
    with model.rows([coefficients] * len(batch.input_ids)) as network, torch.enable_grad():
        scored = answer_token_logits(network, batch)
        return cross_entropy(scored.logits.float(), scored.targets)


def _write(path: Path, found: Found) -> None:
    """The file appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    losses = torch.tensor(found.losses, dtype=torch.float64)
    save_file({"values": found.values.cpu().contiguous(), "losses": losses}, temporary)
    os.replace(temporary, path)
