"""Check the settings of a base before its network is built. Knows no architecture.

Some values that no network has are accepted by transformers: no layers at all, or so many that building them never
ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from sku.core.jsonl import read_json, require_object

CONFIG = "config.json"
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KEY_HEADS = "num_key_value_heads"
_COUNTS = (
    *(*_LAYERS, *_WIDTHS, *_HEADS, _KEY_HEADS, "vocab_size", "head_dim", "intermediate_size", "ffn_dim", "n_inner"),
    *("max_position_embeddings", "n_positions", "n_ctx", "word_embed_proj_dim"),
)
"""Keys whose value is a whole number above 0, under the names that architectures give them."""
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function")
_LAYER_NUMBER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def check_config(folder: Path, tensor_names: Iterable[str]) -> None:
    """Check that the numbers in `config.json` can be those of a network, and that the weights have all its layers.

    Args:
        folder: holds a checkpoint.
        tensor_names: of its weights; none if they are not known.

    Raises:
        ValueError: for the first number that is wrong, with its key.
    """
    path = folder / CONFIG
    config = require_object(read_json(path, str(path), "; fetch the file again"), str(path))
    text = config.get("text_config")  # the part of a model that also sees pictures
    numbers = text if isinstance(text, dict) else config
    for key in _COUNTS:
        if key in numbers:
            _require_count(path, key, numbers[key])
    _require_whole_heads(path, numbers)
    _require_known_parts(path, config, numbers)
    layers = [int(found[1]) + 1 for name in tensor_names if (found := _LAYER_NUMBER.search(f".{name}"))]
    key, wanted = _first(numbers, _LAYERS)
    if layers and wanted > max(layers):
        raise ValueError(
            f"{path} has {key} {wanted:,}, and the weights hold {max(layers)} layers; correct it, or fetch the "
            "checkpoint again"
        )


def check_template_forms(folder: Path) -> None:
    """Check that the chat template in the settings of the tokenizer is a text, or texts with names.

    Raises:
        ValueError: if it is anything else.
    """
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return
    template = require_object(read_json(path, str(path), "; fetch the file again"), str(path)).get("chat_template")
    forms = template if isinstance(template, list) else []
    named = all(isinstance(one, dict) and {"name", "template"} <= one.keys() for one in forms)
    if not named or not isinstance(template, str | dict | list | None):
        raise ValueError(
            f"{path} has a chat_template that is neither a text nor a list of texts with name and template; correct "
            "it, or remove it there"
        )


def _require_count(path: Path, key: str, value: Any) -> None:
    """Lists, which give a number for each layer, and null are left to transformers."""
    if value is None or isinstance(value, list):
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{path} has {key} {value!r}; a whole number above 0 is wanted, so fetch the file again")


def _require_whole_heads(path: Path, numbers: Mapping[str, Any]) -> None:
    (width_key, width), (heads_key, heads) = _first(numbers, _WIDTHS), _first(numbers, _HEADS)
    if width and heads and not numbers.get("head_dim") and width % heads:
        raise ValueError(
            f"{path} has {width_key} {width} and {heads_key} {heads}, which do not divide; fetch the file again"
        )
    key_heads = numbers.get(_KEY_HEADS)
    if heads and isinstance(key_heads, int) and heads % key_heads:
        raise ValueError(
            f"{path} has {heads_key} {heads} and {_KEY_HEADS} {key_heads}, which do not divide; fetch the file again"
        )


def _require_known_parts(path: Path, config: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Check the settings that are names or objects, and the angles of the positions."""
    heads = config.get("architectures")
    if heads is not None and not (isinstance(heads, list) and all(isinstance(head, str) for head in heads)):
        raise ValueError(f"{path} has architectures {heads!r}; a list of names is wanted, so fetch the file again")
    if not isinstance(config.get("quantization_config") or {}, dict):
        raise ValueError(f"{path} has a quantization_config that is no object; fetch the file again")
    for key in _ACTIVATIONS:
        if isinstance(name := numbers.get(key), str) and name not in ACT2FN:
            raise ValueError(f"{path} has {key} {name!r}, which transformers does not know; fetch the file again")
    angles = [one for key in ("rope_parameters", "rope_scaling") if isinstance(one := numbers.get(key), dict)]
    angles += [one for several in angles for one in several.values() if isinstance(one, dict)]
    for one in (numbers, *angles):
        kind = one.get("rope_type", "default")
        if not isinstance(kind, str) or kind not in ("default", *ROPE_INIT_FUNCTIONS):
            raise ValueError(f"{path} has rope_type {kind!r}, which transformers does not know; fetch the file again")
        theta = one.get("rope_theta")
        if theta is not None and (not isinstance(theta, int | float) or isinstance(theta, bool) or theta <= 0):
            raise ValueError(f"{path} has rope_theta {theta!r}; a number above 0 is wanted, so fetch the file again")


def _first(numbers: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, int]:
    """The first of the keys that has a number, with its number; 0 if none has."""
    return next(((key, numbers[key]) for key in keys if isinstance(numbers.get(key), int)), ("", 0))
