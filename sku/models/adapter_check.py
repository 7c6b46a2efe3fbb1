"""Read a PEFT adapter that is plain LoRA, undamaged and made for this base; refuse every other one.

Rows of coefficients compute theta_base + c * scale * B A. So nothing may change the base, and nothing may be added
besides B A. The settings that rows support are listed here. Any other setting that is not at its default is refused,
also one that PEFT adds in future.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sku.core.jsonl import parse_json, require_object
from sku.core.peft_folders import PEFT_CONFIG as CONFIG_FILE
from sku.core.peft_folders import PEFT_WEIGHTS as WEIGHTS_FILE
from sku.core.runs import read_run, run_folder_of
from sku.core.text_lines import BYTE_ORDER_MARK, decode_text
from sku.core.validation import validate

BASE_FINGERPRINT = "base_fingerprint"
"""In `run.json`, and in the header of an exported adapter's weights."""
SUPPORTED_VALUES: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none",),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
"""Settings of which rows support these values only. PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA initialise by changing the
base."""
SUPPORTED_TYPES: dict[str, Any] = {
    "r": int,
    "lora_alpha": float,
    "rank_pattern": dict[str, int],
    "alpha_pattern": dict[str, float],
    "use_rslora": bool,
}
"""Settings that decide the scale of B A. Rows support all their values."""
IGNORED = frozenset(
    (
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
        *("lora_dropout", "fan_in_fan_out", "inference_mode", "runtime_config", "eva_config"),
        *("base_model_name_or_path", "revision", "peft_version", "auto_mapping"),
        *("megatron_core", "qalora_group_size"),
    )
)
"""Settings that change nothing in a loaded adapter: its tensors say which layers they are for, dropout is for training
only, and the others describe the file or belong to a setting that is refused if it is on."""
_MEANINGS = {
    "bias": "a trained bias",
    "lora_bias": "a trained bias",
    "use_dora": "DoRA",
    "modules_to_save": "whole modules",
    "init_lora_weights": "an initialisation that changes the base",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "trained token rows",
    "target_parameters": "parameters that are no linear layer",
    "alora_invocation_tokens": "aLoRA",
}
_TENSOR_NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_MAX_PATTERN_CHARACTERS = 200
_MAX_CHOICES_IN_PATTERN = 4
"""Groups and repetitions in a pattern of layer names. The time of a match can be exponential in their number."""
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_CHOICE = re.compile(r"[*+?{(]")
_DEFAULT_RANK = 8
"""PEFT's default of rank and alpha."""
_SHOWN = 3
"""Names in an error message."""


@dataclass(frozen=True)
class PlainLora:
    """An adapter that rows of coefficients support."""

    config: LoraConfig
    """Names every layer with its rank and alpha, and has nothing that is not plain LoRA."""
    tensors: dict[str, Tensor]


def read_plain_lora(folder: Path, network: Any, base: str) -> PlainLora:
    """Read the adapter in `folder`, and check that it is plain LoRA for the layers of `network`.

    Args:
        folder: a PEFT folder.
        network: the base, with or without other adapters.
        base: fingerprint of the base.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
        ValueError: if the adapter is not plain LoRA, cannot be read, does not fit, or was trained on another base.
    """
    settings = read_settings(folder)
    check_adapter_base(folder, base)
    tensors = _read_tensors(folder)
    ranks = _check_layers(folder, tensors, network)
    config = _config(folder, settings, ranks)
    config.fan_in_fan_out = any(isinstance(module, Conv1D) for module in network.modules())  # PEFT warns otherwise
    return PlainLora(config, tensors)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings in `adapter_config.json`, all of them supported.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
        ValueError: if the file is damaged, or has a setting that rows of coefficients do not support.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no adapter (no {CONFIG_FILE}); name a finished run's adapter")
    content = decode_text(path.read_bytes(), str(path)).removeprefix(BYTE_ORDER_MARK)
    settings = require_object(parse_json(content, str(path)), str(path))
    found = [text for key, value in settings.items() if (text := _unsupported(key, value))]
    if "peft_type" not in settings:
        found.insert(0, "no peft_type")
    if found:
        raise ValueError(
            f"adapter {folder} has {', '.join(found)}; rows of coefficients need plain LoRA: convert it to plain LoRA "
            "(in PEFT: save_pretrained with path_initial_model_for_weight_conversion), or choose another"
        )
    for key, kind in SUPPORTED_TYPES.items():
        if settings.get(key) is not None:
            validate(kind, settings[key], f"adapter {folder}, {key}")
    return settings


def _unsupported(key: str, value: Any) -> str | None:
    """What is wrong with a setting; None if rows support it."""
    if key in IGNORED or key in SUPPORTED_TYPES:
        return None
    if key in SUPPORTED_VALUES:
        if any(value is one or (isinstance(one, str) and value == one) for one in SUPPORTED_VALUES[key]):
            return None
    elif value in (None, False) or value in ([], {}, ""):
        return None
    if key == "peft_type":
        return f"type {value} instead of LORA"
    shown = f"{key}: {json.dumps(value)[:60]}"
    return f"{_MEANINGS[key]} ({shown})" if key in _MEANINGS else shown


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    if not path.is_file() and (folder / "adapter_model.bin").is_file():
        raise ValueError(
            f"adapter {folder} has its weights in adapter_model.bin, a pickle file that can run code; "
            f"it cannot be read: save it as {WEIGHTS_FILE}"
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"adapter {folder} cannot be read ({error}); train it again or choose another") from error
    other = [name for name in tensors if not _TENSOR_NAME.fullmatch(name)]
    if other:
        raise ValueError(
            f"adapter {folder} has tensors that are not lora_A or lora_B: {_listed(other)}; rows of coefficients need "
            "plain LoRA"
        )
    return tensors


def _check_layers(folder: Path, tensors: dict[str, Tensor], network: Any) -> dict[str, int]:
    """The rank of every layer that the adapter changes.

    Raises:
        ValueError: if a layer does not exist here, is not a linear layer between the two ends, or has another size; or
            if a factor is missing or does not hold numbers.
    """
    modules, ranks = dict(network.named_modules()), dict[str, int]()
    ends = (network.get_input_embeddings(), network.get_output_embeddings())
    for name in dict.fromkeys(_layer_of(name) for name in tensors):
        layer = modules.get(name)
        if layer is not None and layer in ends:
            raise ValueError(f"adapter {folder} changes {name}; rows of coefficients need layers between the two ends")
        ranks[name] = _check_layer(folder, name, _linear_size(layer), tensors)
    if not ranks:
        raise ValueError(f"adapter {folder} has no layer that this base has; train it again or choose another")
    return ranks


def _check_layer(folder: Path, name: str, size: tuple[int, int] | None, tensors: dict[str, Tensor]) -> int:
    """The rank of the adapter in one layer of `size` (inputs, outputs); None means no linear layer."""
    if size is None:
        raise ValueError(f"adapter {folder} changes {name}, which is no linear layer of this base; use its own base")
    prefix = f"base_model.model.{name}.lora_"
    a, b = tensors.get(f"{prefix}A.weight"), tensors.get(f"{prefix}B.weight")
    if a is None or b is None:
        raise ValueError(f"adapter {folder} has only one of lora_A and lora_B at {name}; train it again")
    for factor, tensor, wanted in (("A", a, size[0]), ("B", b, size[1])):
        if tensor.ndim != 2 or tensor.shape[1 if factor == "A" else 0] != wanted:
            raise ValueError(
                f"adapter {folder} has {list(tensor.shape)} at {prefix}{factor}.weight, where this base has {wanted}; "
                "use its own base"
            )
    if a.shape[0] != b.shape[1]:
        raise ValueError(f"adapter {folder} has rank {a.shape[0]} in lora_A and {b.shape[1]} in lora_B at {name}")
    if not (a.is_floating_point() and b.is_floating_point() and a.isfinite().all() and b.isfinite().all()):
        raise ValueError(f"adapter {folder} has numbers that are not finite; train it again or choose another")
    return len(a)


def _linear_size(layer: nn.Module | None) -> tuple[int, int] | None:
    base = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
    if isinstance(base, Conv1D):  # GPT-2's linear layer
        return int(base.nx), int(base.nf)
    return (base.in_features, base.out_features) if isinstance(base, nn.Linear) else None


def _config(folder: Path, settings: dict[str, Any], ranks: dict[str, int]) -> LoraConfig:
    """A config that names every layer in full, so that PEFT has nothing to search for.

    Raises:
        ValueError: if the settings have another rank than the tensors, or a pattern is no regular expression.
    """
    rank, alpha = (_DEFAULT_RANK if settings.get(key) is None else settings[key] for key in ("r", "lora_alpha"))
    rank_pattern, alpha_pattern = settings.get("rank_pattern") or {}, settings.get("alpha_pattern") or {}
    for pattern in (*rank_pattern, *alpha_pattern):
        _require_quick(folder, pattern)
    alphas: dict[str, Any] = {}
    for name, found in ranks.items():
        try:
            wanted = rank_pattern.get(get_pattern_key(rank_pattern, name), rank)
            alphas[name] = alpha_pattern.get(get_pattern_key(alpha_pattern, name), alpha)
        except (re.error, OverflowError) as error:
            raise ValueError(f"adapter {folder} has a pattern that is no regular expression ({error})") from error
        if wanted != found:
            raise ValueError(
                f"adapter {folder} has rank {found} at {name}, but its settings say {wanted}; train it again"
            )
        if not math.isfinite(alphas[name]):
            raise ValueError(f"adapter {folder} has alpha {alphas[name]} at {name}, which is no number")
    exact = {name: re.escape(name) for name in ranks}
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(ranks),
        rank_pattern={exact[name]: found for name, found in ranks.items() if found != rank},
        alpha_pattern={exact[name]: value for name, value in alphas.items() if value != alpha},
        use_rslora=bool(settings.get("use_rslora")),
        inference_mode=True,
        task_type="CAUSAL_LM",
    )


def _require_quick(folder: Path, pattern: str) -> None:
    """Refuse a regular expression that may take for ever: a very long one, or one with repeated or many groups."""
    choices = len(_CHOICE.findall(pattern))
    if len(pattern) > _MAX_PATTERN_CHARACTERS or choices > _MAX_CHOICES_IN_PATTERN or _REPEATED_GROUP.search(pattern):
        raise ValueError(
            f"adapter {folder} has the pattern {pattern[:60]!r}, which may take for ever to match; write the names of "
            "the layers instead"
        )


def _header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):  # `_read_tensors` says what is wrong with it
        return {}


def _layer_of(tensor: str) -> str:
    found = _TENSOR_NAME.fullmatch(tensor)
    return found.group(1) if found else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


def check_adapter_base(folder: Path, base: str) -> None:
    """Check that the adapter in `folder` was trained on the base with fingerprint `base`, if it says on which.

    A run says so in `run.json`, and an adapter that this project exported in the header of its weights.

    Raises:
        ValueError: if it was trained on another base.
    """
    run_folder = run_folder_of(folder)
    trained_on = (
        read_run(run_folder).manifest.base_fingerprint
        if run_folder is not None
        else _header(folder / WEIGHTS_FILE).get(BASE_FINGERPRINT)
    )
    if trained_on and trained_on != base:
        raise ValueError(
            f"adapter {folder} was trained on a base with fingerprint {trained_on}, this base has {base}; "
            "load the base it was trained on"
        )
