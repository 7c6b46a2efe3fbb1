"""Load the network and the tokenizer of a transformers checkpoint, and say in one sentence what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from sku.core.errors import OutOfMemory
from sku.core.jsonl import read_json, require_object
from sku.core.validation import validate
from sku.models.memory import memory_errors_as_sentences
from sku.models.precision import loading_settings

_LFS_START = b"version https://git-lfs"
_CHECKED_ENDINGS = (".safetensors", ".bin", ".json", ".model", ".txt", ".jinja")
_WEIGHT_ENDINGS = (".safetensors", ".bin")
_INDEX = "model.safetensors.index.json"


def load_network(folder: str | Path, dtype: str = "float32", device_map: str | dict[str, Any] | None = None) -> Any:
    """The causal language model in `folder`.

    Args:
        folder: holds a transformers checkpoint.
        dtype: a precision of `precision.py`.
        device_map: where accelerate puts the layers; None: on the CPU.

    Raises:
        ValueError: if a file is damaged, is only a git-lfs pointer, or lacks weights.
        OSError: if a file is missing, or there is not enough memory.
    """
    check_files(Path(folder))
    with _one_sentence(Path(folder)), memory_errors_as_sentences(), _quiet():
        network, loading = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, device_map=device_map, **loading_settings(dtype)
        )
    missing = sorted(loading["missing_keys"])
    if missing:  # transformers would fill in random weights
        raise ValueError(
            f"the weights in {folder} lack {', '.join(missing[:3])} ({len(missing)} in all), so this is no whole "
            "causal language model; fetch the checkpoint again, or name another"
        )
    return network


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer in `folder`.

    Raises:
        ValueError: if a file is damaged or is only a git-lfs pointer.
        OSError: if a file is missing.
    """
    with _one_sentence(Path(folder)), _quiet():
        return AutoTokenizer.from_pretrained(folder)


def load_model_config(folder: str | Path) -> Any:
    """The settings of the model in `folder`.

    Raises:
        ValueError: if they are damaged.
    """
    with _one_sentence(Path(folder)):
        return AutoConfig.from_pretrained(folder)


def check_files(folder: Path) -> None:
    """Check that no file of a checkpoint is a git-lfs pointer, empty or cut. Reads only the beginnings of weights.

    Raises:
        ValueError: for the first file with a fault.
        FileNotFoundError: if a part of the weights is missing.
    """
    for path in sorted(path for path in folder.iterdir() if path.suffix in _CHECKED_ENDINGS and path.is_file()):
        with path.open("rb") as file:
            start = file.read(len(_LFS_START))
        if start == _LFS_START:
            raise ValueError(f"{path} is a git-lfs pointer and not the file itself; fetch it with: git lfs pull")
        if not start and path.suffix in _WEIGHT_ENDINGS:
            raise ValueError(f"{path} is empty; fetch it again")
        if path.suffix == ".safetensors":
            _check_safetensors(path)
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
        first = next(iter(str(error).strip().splitlines()), "") or "no reason given"
        raise ValueError(
            f"the model in {folder} cannot be loaded ({type(error).__name__}: {first[:200]}); fetch it again, or name "
            "another"
        ) from error


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
