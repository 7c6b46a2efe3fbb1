"""Save and load the training state. It is one safetensors file, replaced atomically, so a killed run leaves a valid
one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sku.training.kl_budget import KlBudget

_FILE = "state.safetensors"


def save_checkpoint(
    folder: Path,
    step: int,
    factors: dict[str, torch.nn.Parameter],
    optimizer: Any,
    budget: KlBudget,
    seconds: float,
) -> None:
    """Write the weights, the optimiser state and the state of the KL budget after `step` steps.

    Args:
        folder: the run's `checkpoint/`.
        step: the number of steps taken so far.
        factors: all LoRA factors by name, also those that are not trained.
        optimizer: a torch optimiser of those that are trained.
        budget: its factor changes with every step.
        seconds: the training time so far.
    """
    tensors = {f"weight/{name}": p.detach() for name, p in factors.items()}
    for name, p in factors.items():
        tensors |= {f"optimizer/{key}/{name}": value for key, value in optimizer.state.get(p, {}).items()}
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{_FILE}.making"
    contiguous = {name: t.cpu().contiguous() for name, t in tensors.items()}
    about = {"step": step, "seconds": seconds, "kl_factor": budget.factor}
    save_file(contiguous, temporary, metadata={"about": json.dumps(about)})
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())  # without this, a power cut after the rename could leave an empty file
    os.replace(temporary, folder / _FILE)


def has_checkpoint(folder: Path) -> bool:
    """Whether a state was saved in `folder`."""
    return (folder / _FILE).is_file()


def load_checkpoint(
    folder: Path, factors: dict[str, torch.nn.Parameter], optimizer: Any, budget: KlBudget
) -> tuple[int, float]:
    """Restore the newest state. Arguments are those of `save_checkpoint`.

    Returns:
        The number of steps taken and the training time when the state was written; (0, 0.0) if there is none yet.

    Raises:
        ValueError: if the state belongs to other parameters, or the file is damaged.
    """
    path = folder / _FILE
    if not has_checkpoint(folder):
        return 0, 0.0
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            step, seconds = int(about["step"]), float(about["seconds"])
            kl_factor = float(about.get("kl_factor", 1.0))  # older checkpoints have none
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and --resume begins again at step 0") from error
    weights = {name.removeprefix("weight/") for name in stored if name.startswith("weight/")}
    if weights != set(factors):
        differing = sorted(weights ^ set(factors))
        raise ValueError(
            f"{path} belongs to another adapter ({len(differing)} parameters differ, such as {differing[:3]})"
        )
    with torch.no_grad():
        for name, parameter in factors.items():
            parameter.copy_(stored[f"weight/{name}"])
            if parameter.requires_grad:
                optimizer.state[parameter] = _optimizer_state(name, stored, parameter)
    budget.factor = kl_factor
    return step, seconds


def _optimizer_state(name: str, stored: dict[str, Tensor], parameter: torch.nn.Parameter) -> dict[str, Tensor]:
    state = {}
    for key, value in stored.items():
        kind, _, rest = key.partition("/")
        field, _, owner = rest.partition("/")
        if kind == "optimizer" and owner == name:
            state[field] = value if field == "step" else value.to(parameter.device)
    return state
