"""Add the LoRA adapter that a run trains: its target modules, its trained factors and their initial values."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers.pytorch_utils import Conv1D

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.training.targets import adapted_modules
from sku.training.term_batches import TermBatches

Preparation = Callable[[Any, TermBatches, TrainConfig], None]
"""A function that sets the LoRA factors of a PEFT model from the run's pairs. It changes the model in place, before the
first step; a resumed run takes the factors from its checkpoint."""


def add_lora(network: Any, config: TrainConfig) -> Any:
    """Add a new LoRA adapter to `network` and return the PEFT model. Only the factors that are trained have a gradient.

    Raises:
        ValueError: if a target is no linear layer between the embeddings and the output head.
    """
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=adapted_modules(network, config.targets, config.layers),
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in network.modules()),  # PEFT warns otherwise
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        peft_model = get_peft_model(network, lora)
    _freeze_factors(peft_model, config)
    if config.gradient_checkpointing:
        network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        network.enable_input_require_grads()
        return peft_model.train()
    return peft_model.eval()  # no dropout, because it would add to the KL from base


def prepare_factors(peft_model: Any, batches: TermBatches, config: TrainConfig) -> None:
    """Run the method's preparation, if it has one."""
    name = METHODS[config.method].prepare
    if name is not None:
        prepare: Preparation = resolve_name(f"sku.training.{name}")
        with torch.no_grad():
            prepare(peft_model, batches, config)


def _freeze_factors(peft_model: Any, config: TrainConfig) -> None:
    frozen = {"both": None, "A": "lora_B", "B": "lora_A"}[METHODS[config.method].trained_factors]
    for name, parameter in peft_model.named_parameters():
        if frozen is not None and f".{frozen}." in name:
            parameter.requires_grad_(False)
