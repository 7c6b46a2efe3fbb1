"""Make a gated run: the adapter of another run, and a gate that decides for each prompt how much of it is applied.

The idea is that of GRUN (arXiv:2502.17823): most of what forgetting costs comes from prompts that have nothing to do
with it. The base knows which prompts are harmful, so a linear probe of its hidden state can tell.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.errors import Cancelled
from sku.core.methods import find_method
from sku.core.peft_folders import PEFT_CONFIG, PEFT_WEIGHTS
from sku.core.records import PairKind
from sku.core.runs import Manifest, Run
from sku.models.adapter_check import read_tensors
from sku.models.gate import Gate, fit_gate, save_gate
from sku.models.gating import prompt_state
from sku.models.generation import asked_ids
from sku.models.pretrained import provision_base
from sku.models.variant_model import VariantModel, load_variant_model
from sku.training.train_data import SourceFacts, TrainingSource, choose_training_pairs, source_facts

_PROMPTS_PER_REPORT = 50


def make_gated_run(
    out: Path,
    config: TrainConfig,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Write a run with the adapter of the run `config.like` and a gate fitted on the prompts of `config`'s sources.

    The vector is added: of a negated method its sign is turned. So a gated run acts as its original at the same
    coefficient where the gate is open.

    Raises:
        Cancelled: if `cancelled` returned True. Nothing is written then.
        FileExistsError: if `out` already holds an adapter.
        ValueError: if `config.like` is not a finished run or is gated itself, or there are too few prompts.
    """
    like = runs.find_run(str(config.like))
    if like.gated:
        raise ValueError(f"{like.name} has a gate already; name the run that it was made from")
    if (out / "adapter").exists():
        raise FileExistsError(f"{out} already holds an adapter; name another folder")
    harmful_sources = [choose_training_pairs(config, "harmful", spec) for spec in config.harmful]
    normal_sources = [choose_training_pairs(config, "normal", spec) for spec in config.normal]
    report({"doing": f"loading {like.manifest.base}"})
    model = load_variant_model(provision_base(like.manifest.base), config.dtype)
    harmful, harmful_facts = _states(model, config, "harmful", harmful_sources, report, cancelled)
    normal, normal_facts = _states(model, config, "normal", normal_sources, report, cancelled)
    gate = fit_gate(harmful, normal, gate_block(model, config), config.gate_false_alarms, config.gate == "hard")
    _copy_adapter(like, out / "adapter")
    save_gate(out, gate)
    manifest = Manifest(
        method="gated",
        config=config.to_dict(),
        base=like.manifest.base,
        base_fingerprint=like.manifest.base_fingerprint,
        data={"harmful": harmful_facts, "normal": normal_facts},
        status="finished",
        default_coefficient=like.manifest.default_coefficient,
        packages=runs.package_versions(),
        note=f"{like.folder.name} with a {config.gate} gate after block {gate.block}; {_opened(gate, harmful, normal)}",
    )
    runs.write_manifest(out, manifest)
    return Run(out, manifest)


def gate_block(model: VariantModel, config: TrainConfig) -> int:
    """After how many decoder blocks the gate reads; the last one is left out, because its state is normalised."""
    blocks = int(model.network.config.num_hidden_layers)
    return max(1, min(blocks - 1, round(config.gate_layer * blocks)))


def _states(
    model: VariantModel,
    config: TrainConfig,
    kind: PairKind,
    sources: Sequence[TrainingSource],
    report: Callable[[dict[str, Any]], None],
    cancelled: Callable[[], bool],
) -> tuple[Tensor, SourceFacts]:
    """The states `[P, H]` of all training prompts of one kind, with the facts about their sources."""
    prompts = dict.fromkeys(pair.asked for source in sources for pair in source.chosen)
    states = []
    for number, prompt in enumerate(prompts):
        if cancelled():
            raise Cancelled("stopped before the gate was fitted; nothing is written")
        if number % _PROMPTS_PER_REPORT == 0:
            report({"doing": f"reading {kind} prompts: {number} of {len(prompts)}"})
        states.append(prompt_state(model, asked_ids(model, prompt), gate_block(model, config)).cpu())
    return torch.stack(states), [source_facts(source, source.chosen) for source in sources]


def _copy_adapter(like: Run, adapter: Path) -> None:
    """Copy the adapter, with the sign turned if its method is negated."""
    sign = -1.0 if find_method(like.manifest.method).negated else 1.0
    adapter.mkdir(parents=True)
    tensors = read_tensors(like.adapter)
    signed = {name: tensor * sign if ".lora_B." in name else tensor for name, tensor in tensors.items()}
    save_file(signed, adapter / PEFT_WEIGHTS, metadata={"format": "pt"})
    shutil.copy(like.adapter / PEFT_CONFIG, adapter / PEFT_CONFIG)


def _opened(gate: Gate, harmful: Tensor, normal: Tensor) -> str:
    """How far the gate is open on the prompts that it was fitted on."""
    shares = [sum(map(gate.value, states)) / len(states) for states in (harmful, normal)]
    return f"on training prompts it is open for {shares[0]:.1%} of harmful and {shares[1]:.1%} of normal ones"
