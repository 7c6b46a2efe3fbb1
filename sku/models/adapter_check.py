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

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sku.core.peft_folders import PEFT_CONFIG as CONFIG_FILE
from sku.core.peft_folders import PEFT_WEIGHTS as WEIGHTS_FILE
from sku.core.peft_folders import read_peft_config
from sku.core.runs import read_run, run_folder_of
from sku.core.text_lines import require_fetched
from sku.core.validation import validate

BASE_FINGERPRINT = "base_fingerprint"
"""In `run.json`, and in the header of an exported adapter's weights."""
SUPPORTED_VALUES: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none",),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva", "mica"),
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
        *("megatron_core", "qalora_group_size", "ensure_weight_tying"),
    )
)
"""Settings that change nothing in a loaded adapter: its tensors say which layers they are for, dropout is for training
only, and the others describe the file or belong to a setting or layer that is refused."""
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
_CONDITIONS = ("exclude_modules", "layers_to_transform")
"""Settings that take layers out of those that `target_modules` names."""
_CONVERTIBLE = frozenset(("init_lora_weights", "corda_config", "loftq_config", "lora_ga_config"))
_CONVERT = (
    "convert it to plain LoRA (in PEFT: save_pretrained with path_initial_model_for_weight_conversion), or choose "
    "another"
)
_WRAPPER_NAMES = re.compile(r"^(module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.|\.default(?=\.weight$)")
"""What DDP, torch.compile and PEFT's own state dict add to the names of tensors."""
_FACTOR_NAME = re.compile(r"\blora_[AB]\b", re.IGNORECASE)
"""In the names that other libraries give to the two factors, too."""
_TENSOR_NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_NUMBERS = {torch.float64, torch.float32, torch.bfloat16, torch.float16}
_MAX_CHANGE = 1e12
"""The largest norm of A times that of B. Beyond it B A x may be infinite, and 0 times that is no longer the base."""
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
    tensors = read_tensors(folder)
    ranks = _check_layers(folder, tensors, network)
    _check_complete(folder, settings, ranks, network)
    config = _config(folder, settings, ranks)
    config.fan_in_fan_out = any(isinstance(module, Conv1D) for module in network.modules())  # PEFT warns otherwise
    return PlainLora(config, tensors)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings in `adapter_config.json`, all of them supported.

    Raises:
        FileNotFoundError: if the folder holds no adapter.
        ValueError: if the file is damaged, or has a setting that rows of coefficients do not support.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no adapter (no {CONFIG_FILE}); name a finished run's adapter")
    settings = read_peft_config(folder)
    if "peft_type" not in settings:
        kind = "an MLX adapter" if "fine_tune_type" in settings else "no adapter of PEFT (no peft_type in its settings)"
        raise ValueError(f"{folder} holds {kind}; convert it to the format of PEFT, or choose another")
    found = {key: text for key, value in settings.items() if (text := _unsupported(key, value))}
    if "peft_type" in found:  # the settings of another type mean nothing here
        found = {"peft_type": found["peft_type"]}
    if found:
        advice = _CONVERT if set(found) <= _CONVERTIBLE else "train one without it, or choose another"
        raise ValueError(
            f"adapter {folder} has {', '.join(found.values())}; rows of coefficients need plain LoRA: {advice}"
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


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The factors of the adapter in a PEFT folder, by the names that PEFT gives them.

    Raises:
        ValueError: if they cannot be read, or are not all lora_A and lora_B.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file() and (folder / "adapter_model.bin").is_file():
        raise ValueError(
            f"adapter {folder} has its weights in adapter_model.bin, a pickle file that can run code; "
            f"it cannot be read: save it as {WEIGHTS_FILE}"
        )
    if not path.is_file():
        if path.is_symlink():
            raise ValueError(f"{path} is a link to a file that is not there; get the file itself")
        there = ", ".join(sorted(one.name for one in folder.iterdir() if one.suffix == path.suffix))
        advice = (
            "put its weights into one file of that name, or get the whole folder" if there else "get the whole folder"
        )
        raise ValueError(f"adapter {folder} has no {WEIGHTS_FILE} (other weights there: {there or 'none'}); {advice}")
    require_fetched(path)
    try:
        written: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"adapter {folder} cannot be read ({error}); train it again or choose another") from error
    tensors = {_WRAPPER_NAMES.sub("", name): tensor for name, tensor in written.items()}
    if len(tensors) < len(written):
        raise ValueError(f"adapter {folder} has tensors that are not lora_A or lora_B of one adapter: some come twice")
    other = [name for name in tensors if not _TENSOR_NAME.fullmatch(name)]
    if other and all(_FACTOR_NAME.search(name) for name in other):
        raise ValueError(
            f"adapter {folder} has tensors named {_listed(other)}, and PEFT names them base_model.model.LAYER."
            "lora_A.weight; save it with PEFT's save_pretrained"
        )
    if other:
        raise ValueError(
            f"adapter {folder} has tensors that are not lora_A or lora_B: {_listed(other)}; rows of coefficients need "
            "plain LoRA for layers between the two ends: train one without them, or choose another"
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
    if not {a.dtype, b.dtype} <= _NUMBERS:
        raise ValueError(
            f"adapter {folder} has numbers of type {str(a.dtype).removeprefix('torch.')} at {name}; save it as "
            "float32, bfloat16 or float16"
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError(f"adapter {folder} has numbers that are not finite; train it again or choose another")
    if (change := float(a.double().norm() * b.double().norm())) > _MAX_CHANGE:
        raise ValueError(
            f"adapter {folder} changes {name} by up to {change:.0e}, so its training diverged; train it again at a "
            "lower learning rate, or choose another"
        )
    return len(a)


def _check_complete(folder: Path, settings: dict[str, Any], ranks: dict[str, int], network: Any) -> None:
    """Check that every layer that the settings name has its factors, if they name layers without conditions.

    Raises:
        ValueError: if some are missing, as in a file of which a part was lost.
    """
    targets = settings.get("target_modules")
    if not isinstance(targets, list) or any(settings.get(key) is not None for key in _CONDITIONS):
        return
    endings = tuple(f".{target}" for target in targets)
    ends = (network.get_input_embeddings(), network.get_output_embeddings())
    layers = [name for name, layer in network.named_modules() if _linear_size(layer) and layer not in ends]
    missing = [name for name in layers if f".{name}".endswith(endings) and name not in ranks]
    if missing:
        raise ValueError(
            f"adapter {folder} has no lora_A and lora_B for {_listed(missing)}, which its target_modules name; get the "
            "whole file, or train it again"
        )


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
                f"adapter {folder} has rank {found} at {name}, but its settings say {wanted}"
                f"{'' if settings.get('r') else ' (the default, as r is missing)'}; get the settings and the weights "
                "of one adapter"
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
