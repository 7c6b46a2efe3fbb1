"""Load the network and the tokenizer of a transformers checkpoint, and say in one sentence what is wrong with one."""

from __future__ import annotations

import codecs
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from sku.core.errors import OutOfMemory
from sku.core.jsonl import read_json, require_object
from sku.core.peft_folders import PEFT_CONFIG
from sku.core.text_lines import require_fetched
from sku.core.validation import validate
from sku.models.config_check import check_config, check_template_forms
from sku.models.memory import memory_errors_as_sentences
from sku.models.precision import loading_settings

_PICKLE_STARTS = (b"PK", b"\x80")
"""How the files begin that `torch.save` writes, now and before."""
_CHECKED_ENDINGS = (".safetensors", ".bin", ".json", ".model", ".txt", ".jinja")
_TEXT_ENDINGS = (".json", ".txt", ".jinja")
_WEIGHT_ENDINGS = (".safetensors", ".bin")
_INDEX = "model.safetensors.index.json"
_OTHER_HEADS = (
    *("ForMaskedLM", "ForPreTraining", "ForSequenceClassification", "ForTokenClassification"),
    *("ForQuestionAnswering", "ForMultipleChoice", "ForNextSentencePrediction"),
)
"""Endings of the names of models for other tasks, of which transformers would load what fits."""
_WEIGHT_NAMES = ("model.safetensors", _INDEX, "pytorch_model.bin", "pytorch_model.bin.index.json")
_PLAIN = (torch.float32, torch.bfloat16, torch.float16)
_EXPLANATIONS = (
    (
        "ignore_mismatched_sizes",
        "its weights have other sizes than its config.json says",
        "fetch both again, or name another",
    ),
    *(
        (part, "it brings program code of its own, which is not run here", "name a base that transformers knows")
        for part in ("trust_remote_code", "custom code")
    ),
    (
        "does not recognize this architecture",
        "its config.json has a model_type that this version of transformers does not know",
        "correct it, install a newer transformers, or name another",
    ),
    (
        "Unrecognized configuration class",
        "its config.json is that of a model that is no causal language model",
        "name one that is",
    ),
    (
        "instantiate the backend tokenizer",
        "it has no tokenizer that transformers can read, such as a tokenizer.json",
        "fetch the files of the tokenizer too, or name another",
    ),
    (
        "module 'torch' has no attribute",
        "its config.json names a dtype that PyTorch does not have",
        "correct it there, such as to float32",
    ),
    (
        "Padding_idx must be within",
        "its config.json has a pad_token_id beyond its vocab_size",
        "correct it there, such as to null",
    ),
    (
        "Weights only load failed",
        "its .bin file holds more than weights, and could run code",
        "name a checkpoint in safetensors",
    ),
)
"""A part of what a library says, what it means, and what to do about it."""
_CORRECT = "correct it there, or fetch the file again"
_WRONG_FIELD = re.compile(
    r"Validation error for field '(?P<key>\w+)':.*?"
    r"(?:\(value: (?P<value>.*?)\)|with value (?P<other>.*?) doesn't match)"
)
"""What huggingface_hub says of a setting that has another type than its architecture wants."""
_WRONG_FIELDS = re.compile(r"Class validation error for validator '\w+': (?:\w+: )?(.*)")
"""What it says of settings that do not fit together."""
_LAYER_NUMBER = re.compile(r"\.\d+\.")


def load_network(folder: str | Path, dtype: str = "float32", device_map: str | dict[str, Any] | None = None) -> Any:
    """The causal language model in `folder`, whose files are checked first.

    Args:
        folder: holds a transformers checkpoint.
        dtype: a precision of `precision.py`.
        device_map: where accelerate puts the layers; None: on the CPU.

    Raises:
        ValueError: if a file is damaged, is only a git-lfs pointer, or lacks weights, or if the model is no causal
            language model.
        OSError: if a file is missing, or there is not enough memory.
    """
    check_checkpoint(Path(folder))
    return load_checked_network(folder, dtype, device_map)


def load_checked_network(folder: str | Path, dtype: str, device_map: str | dict[str, Any] | None) -> Any:
    """As `load_network`, for a folder that `check_checkpoint` has passed."""
    with _one_sentence(Path(folder)), memory_errors_as_sentences(), _quiet():
        network, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            device_map=device_map,
            trust_remote_code=False,  # unless told so, transformers asks on the terminal whether to run it
            **loading_settings(dtype),
        )
    _check_weights(Path(folder), network, loading)
    return network


def check_checkpoint(folder: Path) -> None:
    """Check the files and the settings of a checkpoint. Reads only the beginnings of weights.

    Raises:
        ValueError: if a file is damaged, or the model is no causal language model.
        FileNotFoundError: if the weights or a part of them are missing.
    """
    check_files(folder)
    check_config(folder, _tensor_names(folder))
    _check_config(folder, load_model_config(folder))


def _tensor_names(folder: Path) -> Iterator[str]:
    """The names of the weights in the safetensors files of a checkpoint."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            yield from file.keys()


def _check_config(folder: Path, config: Any) -> None:
    """Check that the settings are those of a causal language model whose weights transformers can read.

    Raises:
        ValueError: if the model reads both ways, which transformers would load as if it wrote answers, or if the
            weights are whole numbers that no setting explains.
    """
    heads = config.architectures or []
    if config.is_encoder_decoder or (heads and all(head.endswith(_OTHER_HEADS) for head in heads)):
        raise ValueError(
            f"{folder} holds {' and '.join(heads) or config.model_type}, which is no causal language model and cannot "
            "write answers; name one that is"
        )
    if not (getattr(config, "quantization_config", None) or {}).get("quant_method"):
        for path in sorted(folder.glob("*.safetensors")):
            _check_numbers(path)


def _check_numbers(path: Path) -> None:
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            if name.endswith(".weight") and file.get_slice(name).get_dtype().startswith(("I", "U", "BOOL")):
                raise ValueError(
                    f"{path} holds whole numbers at {name}, as quantised checkpoints of other programs do; name a "
                    "checkpoint that is not quantised"
                )


def _check_weights(folder: Path, network: Any, loading: Mapping[str, Any]) -> None:
    """Check that the files held exactly the weights of the network, and numbers.

    Raises:
        ValueError: if weights are missing, which transformers fills in at random; if there are more layers or parts
            of layers than `config.json` says, which it leaves out; or if a number is not finite.
    """
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ValueError(
            f"the weights in {folder} lack {', '.join(missing[:3])} ({len(missing)} in all), so this is no whole "
            "causal language model; fetch the checkpoint again, or name another"
        )
    names = {_LAYER_NUMBER.sub(".N.", name) for name in network.state_dict()}
    left_out = sorted(name for name in loading["unexpected_keys"] if _LAYER_NUMBER.sub(".N.", name) in names)
    if left_out:
        raise ValueError(
            f"the weights in {folder} hold {', '.join(left_out[:3])} ({len(left_out)} in all), which its config.json "
            "has no layers for; fetch the checkpoint again, or correct num_hidden_layers"
        )
    modules = dict(network.named_modules())
    parts = sorted(name for name in loading["unexpected_keys"] if _is_part_of_layer(name, modules))
    if parts:
        raise ValueError(
            f"the weights in {folder} hold {', '.join(parts[:3])} ({len(parts)} in all), which its config.json has no "
            "place for; correct its config.json, or fetch the checkpoint again"
        )
    here = {name: weight for name, weight in network.named_parameters() if not weight.is_meta}
    plain = {name: weight for name, weight in here.items() if weight.dtype in _PLAIN}
    wrong = [name for name, weight in plain.items() if not weight.isfinite().all()]
    if wrong:
        raise ValueError(
            f"the weights in {folder} are not all numbers: {wrong[0]} has some that are infinite or NaN ({len(wrong)} "
            "weights in all); fetch the checkpoint again, or name another"
        )


def _is_part_of_layer(name: str, modules: Mapping[str, Any]) -> bool:
    """Whether a weight without a place belongs to a layer that the network has, such as the bias of a linear layer.

    Buffers, and heads for other tasks beside the network, do not.
    """
    module = name.rpartition(".")[0]
    if module in modules and modules[module]._parameters:
        return True
    above = module.rpartition(".")[0]
    return name.endswith(".weight") and bool(_LAYER_NUMBER.search(f".{name}")) and above in modules


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer in `folder`.

    Raises:
        ValueError: if a file is damaged or is only a git-lfs pointer.
        OSError: if a file is missing.
    """
    with _one_sentence(Path(folder)), _quiet():
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def check_tokens_fit(folder: str | Path, network: Any, tokenizer: Any) -> None:
    """Check that the tokenizer has no more tokens than the network has rows for; added tokens are not counted.

    Raises:
        ValueError: if it has more, as the tokenizer of another model has.
    """
    rows = len(network.get_input_embeddings().weight)
    if tokenizer.vocab_size > rows:
        raise ValueError(
            f"the tokenizer in {folder} has {tokenizer.vocab_size:,} tokens, and the model {rows:,}; it belongs to "
            "another model, so fetch this one's again"
        )


def load_model_config(folder: str | Path) -> Any:
    """The settings of the model in `folder`.

    Raises:
        ValueError: if they are damaged.
    """
    with _one_sentence(Path(folder)):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def check_files(folder: Path) -> None:
    """Check that no file of a checkpoint is a git-lfs pointer, empty or cut. Reads only the beginnings of weights.

    Raises:
        ValueError: for the first file with a fault, or if an adapter lies beside the base.
        FileNotFoundError: if the weights or a part of them are missing.
    """
    if (folder / PEFT_CONFIG).is_file():
        raise ValueError(
            f"{folder} holds a PEFT adapter beside the base, and transformers would load both as one; move "
            f"{PEFT_CONFIG} and its weights to a folder of their own, and name that as a variant (-v)"
        )
    for path in sorted(path for path in folder.iterdir() if path.suffix in _CHECKED_ENDINGS and not path.is_dir()):
        if not path.exists():
            raise FileNotFoundError(f"{path} is a link to a file that is not there; fetch the file itself")
        _check_start(path)
        if path.suffix == ".safetensors":
            _check_safetensors(path)
    check_template_forms(folder)
    index = folder / _INDEX
    if index.is_file():
        places = require_object(read_json(index), str(index)).get("weight_map")
        parts = set(validate(dict[str, str], places, f"{index}, weight_map").values())
        lost = sorted(name for name in parts if not (folder / name).is_file())
        if lost:
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(lost[:3])} ({len(lost)} of {len(parts)} parts of the weights); fetch the "
                "checkpoint again"
            )
    if not any(path.suffix in _WEIGHT_ENDINGS for path in folder.iterdir()):
        raise FileNotFoundError(
            f"{folder} holds no weights (no model.safetensors); fetch the checkpoint again, in the format of "
            "transformers: a GGUF file is no base"
        )
    if not any((folder / name).is_file() for name in _WEIGHT_NAMES):
        there = sorted(path.name for path in folder.iterdir() if path.suffix in _WEIGHT_ENDINGS)
        raise FileNotFoundError(
            f"{folder} holds no {' or '.join(_WEIGHT_NAMES[:2])}, but {', '.join(there[:3])}; rename it, or fetch the "
            "checkpoint again, with its index if it is in parts"
        )


def _check_start(path: Path) -> None:
    """Check the first bytes of a file."""
    require_fetched(path)
    with path.open("rb") as file:
        start = file.read(3)
    if not start and path.suffix in _WEIGHT_ENDINGS:
        raise ValueError(f"{path} is empty; fetch it again")
    if path.match("pytorch_model*.bin") and not start.startswith(_PICKLE_STARTS):
        raise ValueError(f"{path} is no file of PyTorch weights; fetch it again")
    if path.match("pytorch_model*.bin") and start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is cut; fetch it again")
    if path.suffix in _TEXT_ENDINGS and start.startswith(codecs.BOM_UTF8):
        raise ValueError(
            f"{path} begins with a byte-order mark, which transformers cannot read; save it as UTF-8 without one"
        )
    if path.suffix == ".jinja":
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8; save it as UTF-8") from None


def _check_safetensors(path: Path) -> None:
    try:
        with safe_open(path, "pt"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} is cut or damaged ({error}); fetch it again") from error


@contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise, of which there is no list, into one sentence."""
    try:
        yield
    except OutOfMemory:
        raise
    except Exception as error:
        reason, advice = _explained(folder, error)
        raise ValueError(f"the model in {folder} cannot be loaded ({reason}); {advice}") from error


def _explained(folder: Path, error: Exception) -> tuple[str, str]:
    """What a library means with an error, and what to do about it."""
    said = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, json.JSONDecodeError):  # it does not say of which file
        return f"{_broken_json(folder) or said}", "fetch it again, or name another"
    for part, reason, advice in _EXPLANATIONS:
        if part in said:
            return reason, advice
    if found := _WRONG_FIELD.search(said):
        value = found["value"] or found["other"]
        return f"its config.json has {found['key']} {value[:40]}, which is of a wrong type", _CORRECT
    if found := _WRONG_FIELDS.search(said):
        return f"its config.json has settings that do not fit: {found[1][:160]}", _CORRECT
    if isinstance(error, ImportError):
        return said[:200], "install what is missing, or name another"
    return f"{type(error).__name__}: {said[:200]}", "fetch it again, or name another"


def _broken_json(folder: Path) -> str:
    """What is wrong with the first file that is not JSON; empty if all are."""
    for path in sorted(folder.glob("*.json")):
        try:
            read_json(path)
        except ValueError as error:
            return str(error)
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing bars and reports: they would break lines of JSON and logs."""
    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
