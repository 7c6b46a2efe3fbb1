"""A hash of every weight of a base, to show that nothing has changed. The fingerprint reads only a sample."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


@torch.no_grad()
def weights_hash(network: Any) -> str:
    """SHA-256 of the names, shapes and all bytes of the base's weights; adapters are left out. About 1 s per GB."""
    state = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        if "lora_" not in name:
            state.update(f"{name.replace('.base_layer', '')} {tuple(weight.shape)} {weight.dtype}".encode())
            state.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()
