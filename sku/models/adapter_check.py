"""Checks that an adapter on disk is plain LoRA, undamaged and trained on this base. Loads no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open


def check_adapter(folder: Path, network: Any, base: str) -> None:
    """Check that the adapter in `folder` fits `network`, before PEFT changes the network.

    Args:
        folder: a PEFT folder.
        network: the base, with or without other adapters.
        base: fingerprint of the base.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
        ValueError: if the adapter is not plain LoRA, cannot be read, does not fit, or was trained on another base.
    """
    _check_kind(folder)
    check_adapter_base(folder, base)
    _check_weights(folder, network)


def _check_kind(folder: Path) -> None:
    config_file = folder / "adapter_config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"{folder} holds no adapter (no adapter_config.json); name a finished run's adapter")
    config = json.loads(config_file.read_text())
    problems = [
        problem
        for problem, found in {
            f"type {config.get('peft_type')} instead of LORA": config.get("peft_type") != "LORA",
            "DoRA": config.get("use_dora"),
            "a trained bias": config.get("bias", "none") != "none" or config.get("lora_bias"),
            "whole modules (modules_to_save)": config.get("modules_to_save"),
        }.items()
        if found
    ]
    if problems:
        raise ValueError(f"adapter {folder} has {', '.join(problems)}; rows of coefficients need plain LoRA")


def _check_weights(folder: Path, network: Any) -> None:
    try:
        with safe_open(folder / "adapter_model.safetensors", "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no dict)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"adapter {folder} cannot be read ({error}); train it again or choose another") from error
    modules = dict(network.named_modules())
    outer = (network.get_input_embeddings(), network.get_output_embeddings())
    for name, shape in shapes.items():
        place, _, factor = name.removeprefix("base_model.model.").partition(".lora_")
        module = modules.get(place)
        if module is not None and module in outer:
            raise ValueError(f"adapter {folder} changes {place}; rows of coefficients need layers between the two ends")
        wanted = getattr(module, "in_features" if factor.startswith("A") else "out_features", None)
        if wanted not in (None, shape[1] if factor.startswith("A") else shape[0]):
            raise ValueError(
                f"adapter {folder} has {list(shape)} at {name}, where this base has {wanted}; use its own base"
            )


def check_adapter_base(folder: Path, base: str) -> None:
    """Check that the adapter in `folder` was trained on the base with fingerprint `base`, if its run says on which.

    Raises:
        ValueError: if it was trained on another base.
    """
    path = folder.parent / "run.json"
    trained_on = json.loads(path.read_text()).get("base_fingerprint") if path.is_file() else None
    if trained_on and trained_on != base:
        raise ValueError(
            f"adapter {folder} was trained on a base with fingerprint {trained_on}, this base has {base}; "
            "load the base it was trained on"
        )
