"""A hash of every weight of a base, to show that nothing has changed. The fingerprint reads only a sample.

Hashing the default base takes a tenth of a start, so the hash of a checkpoint is kept in `SKU_HOME/base_hashes.json`
until one of its files changes. What is in memory is still hashed in full whenever an adapter was loaded or removed.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from sku.core.file_cache import file_stamp
from sku.core.records import digest
from sku.core.storage import home, write_atomically

MIN_REMEMBERED_BYTES = 2**26
"""Smaller networks are hashed at every start: that is as fast as looking the hash up."""
MAX_REMEMBERED_HASHES = 64


@torch.no_grad()
def weights_hash(network: Any) -> str:
    """SHA-256 over the names, shapes and all bytes of the base's weights; adapters are left out.

    About 1 s per GB and core: the weights are hashed in parallel.
    """
    weights = sorted((name, weight) for name, weight in network.state_dict().items() if "lora_" not in name)
    with ThreadPoolExecutor() as pool:  # hashlib lets other threads run
        return hashlib.sha256("".join(pool.map(lambda item: _weight_hash(*item), weights)).encode()).hexdigest()


def checkpoint_stamp(folder: Path, dtype: str) -> str:
    """A text that changes with the place, size, modification time or inode of any file of a checkpoint.

    It also changes with the precision, and with the version of the library that loads the files.
    """
    files = sorted(path for path in folder.resolve().iterdir() if path.is_file())
    return digest(transformers.__version__, dtype, *(f"{path} {file_stamp(path)}" for path in files))


def remembered_hash(stamp: str, network: Any) -> str:
    """The hash of a network that was just loaded from the files with `stamp`; computed and kept if it is not known."""
    if sum(weight.nbytes for weight in network.parameters()) < MIN_REMEMBERED_BYTES:
        return weights_hash(network)
    known = _read_hashes()
    if stamp not in known:
        known[stamp] = weights_hash(network)
        with suppress(OSError):  # a home that cannot be written to: hashed again at the next start
            _write_hashes(known)
    return known[stamp]


def hashes_file() -> Path:
    """Where the hashes are kept."""
    return home() / "base_hashes.json"


def _read_hashes() -> dict[str, str]:
    """The hashes by stamp, the oldest first; none if the file is missing or not as this module writes it."""
    try:
        found = json.loads(hashes_file().read_bytes())
    except (OSError, ValueError):
        return {}
    valid = isinstance(found, dict) and all(isinstance(value, str) and len(value) == 64 for value in found.values())
    return found if valid else {}


def _write_hashes(hashes: dict[str, str]) -> None:
    hashes_file().parent.mkdir(parents=True, exist_ok=True)
    newest = dict(list(hashes.items())[-MAX_REMEMBERED_HASHES:])
    write_atomically(hashes_file(), json.dumps(newest, indent=2) + "\n")


def _weight_hash(name: str, weight: Tensor) -> str:
    state = hashlib.sha256(f"{name.replace('.base_layer', '')} {tuple(weight.shape)} {weight.dtype}".encode())
    # Read in place: bytes() of a large weight would need its memory again.
    state.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()
