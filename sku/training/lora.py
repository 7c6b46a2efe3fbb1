"""Add the LoRA adapter that a run trains: its target modules, its trained factors and their initial values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from sku.core.config import TrainConfig
from sku.core.methods import METHODS
from sku.models.decoder_blocks import decoder_blocks
from sku.training.term_batches import TermBatches

MLP = "mlp"
"""The target that means the linear layers of a block outside attention."""
Preparation = Callable[[Any, TermBatches, TrainConfig], None]
"""A function that sets the LoRA factors of a PEFT model from the run's pairs. It changes the model in place, before the
first step; a resumed run takes the factors from its checkpoint."""


def add_lora(network: Any, config: TrainConfig) -> Any:
    """Add a new LoRA adapter to `network` and return the PEFT model. Only the factors that are trained have a gradient.

    Raises:
        ValueError: if a target is an embedding or the output head.
    """
    embeddings = (network.get_input_embeddings(), network.get_output_embeddings())
    names = [name for name, module in network.named_modules() if module in embeddings]
    refused = [target for target in config.targets if any(f".{name}".endswith(f".{target}") for name in names)]
    if refused:
        raise ValueError(
            f"targets {refused} are embeddings or the output head; name layers between them, such as q_proj"
        )
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=adapted_modules(network, config), task_type="CAUSAL_LM"
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


def adapted_modules(network: Any, config: TrainConfig) -> list[str]:
    """The modules that get an adapter: as `config.targets` names them, or by their full names if only some blocks do.

    Raises:
        ValueError: if no block between the fractions `config.layers` has such a module.
    """
    if config.layers == (0.0, 1.0) and MLP not in config.targets:
        return list(config.targets)
    blocks = decoder_blocks(network)
    names = {module: name for name, module in network.named_modules()}
    start, end = (math.ceil(share * len(blocks) - 1e-9) for share in config.layers)
    found = [
        f"{names[block]}.{path}"
        for block in blocks[start:end]
        for path, module in block.named_modules()
        if isinstance(module, nn.Linear) and _is_target(path, config.targets)
    ]
    if not found:
        raise ValueError(
            f"blocks {start} to {end - 1} of {len(blocks)} have no module called {' or '.join(config.targets)}; widen "
            "layers, or choose other targets"
        )
    return found


def _is_target(path: str, targets: Sequence[str]) -> bool:
    """Whether the linear layer `path` of a block is named by `targets`."""
    return any(path == target or path.endswith(f".{target}") for target in targets) or (
        MLP in targets and "attn" not in path and "attention" not in path
    )


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
