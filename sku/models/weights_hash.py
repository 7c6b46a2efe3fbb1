"""A hash of every weight of a base, to show that nothing has changed. The fingerprint reads only a sample."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def weights_hash(network: Any) -> str:
    """SHA-256 over the names, shapes and all bytes of the base's weights; adapters are left out.

    About 1 s per GB and core: the weights are hashed in parallel.
    """
    weights = sorted((name, weight) for name, weight in network.state_dict().items() if "lora_" not in name)
    with ThreadPoolExecutor() as pool:  # hashlib lets other threads run
        return hashlib.sha256("".join(pool.map(lambda item: _weight_hash(*item), weights)).encode()).hexdigest()


def _weight_hash(name: str, weight: Tensor) -> str:
    state = hashlib.sha256(f"{name.replace('.base_layer', '')} {tuple(weight.shape)} {weight.dtype}".encode())
    # Read in place: bytes() of a large weight would need its memory again.
    state.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()
