"""What a base costs before anything of it is fetched: memory in every precision, the download, and time.

The numbers are estimates. A token takes at least the time in which the weights are read once, and a training step the
time of its products; both are measured on this machine's processor, in about a second.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from sku.core.config import TrainConfig
from sku.core.errors import OutOfMemory, Unavailable
from sku.core.peft_folders import is_hub_id
from sku.core.storage import home
from sku.models.precision import BYTES_PER_PARAMETER, VARIABLE

MEGABITS_PER_SECOND = 100
"""The line for which the time of a download is told."""
ANSWER_TOKENS = 64
_PRODUCT_SIZE = 1024
_READ_BYTES = 1 << 27


class HubModel(NamedTuple):
    """What the hub says of a model."""

    parameters: int
    download_bytes: int


@dataclass(frozen=True)
class BaseCost:
    """What one base needs."""

    parameters: int
    download_bytes: int
    """0 if nothing is to be fetched."""

    @property
    def download_minutes(self) -> float:
        """At `MEGABITS_PER_SECOND`."""
        return self.download_bytes * 8 / (MEGABITS_PER_SECOND * 1e6) / 60

    def serve_bytes(self, precision: str) -> int:
        """The weights, a tenth more for adapters, cache and activations, and half a GB."""
        return int(self.parameters * BYTES_PER_PARAMETER[precision] * 1.1) + 500_000_000

    def train_bytes(self, precision: str) -> int:
        """Serving, 2 bytes a parameter for activations at the presets' batch sizes (4 in float32), and one GB."""
        activations = 4 if precision == "float32" else 2
        return self.serve_bytes(precision) + self.parameters * activations + 1_000_000_000

    def answer_seconds(self, precision: str) -> float:
        """The time of `ANSWER_TOKENS` tokens: the weights are read once for each."""
        return self.parameters * BYTES_PER_PARAMETER[precision] * ANSWER_TOKENS / read_speed()

    def train_hours(self, config: TrainConfig) -> float:
        """The time of a training: each token passes the base once, and the adapted model forward and back."""
        rows = config.batch_size * (2 + config.disassociation_answers)
        operations = 6.0 * self.parameters * rows * config.max_tokens * config.steps
        return operations / product_speed() / 3600


def cost_lines(cost: BaseCost) -> list[str]:
    """Memory by precision, with what fits here, and the download, for a person."""
    there, free = machine_bytes(), psutil.virtual_memory().available
    lines = [f"this machine has {there / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB free"]
    for precision in BYTES_PER_PARAMETER:
        serve, train = cost.serve_bytes(precision), cost.train_bytes(precision)
        fits = "fits" if serve < free else "fits when others leave" if serve < there else "does not fit"
        seconds = cost.answer_seconds(precision)
        lines.append(
            f"  {precision:<9} serve {serve / 1e9:5.1f} GB ({fits}), train {train / 1e9:5.1f} GB, an answer of "
            f"{ANSWER_TOKENS} tokens about {seconds:.1f} s on this processor"
        )
    return [*lines, f"download: {download_text(cost)}"]


def download_text(cost: BaseCost) -> str:
    """Size and time of the download."""
    if not cost.download_bytes:
        return "nothing, it is here"
    return (
        f"{cost.download_bytes / 1e9:.1f} GB, about {max(1, round(cost.download_minutes))} min at "
        f"{MEGABITS_PER_SECOND} Mbit/s"
    )


def hub_model(model: str) -> HubModel | None:
    """What the hub says of a model; None if it cannot be asked. Nothing is fetched.

    A checkpoint in safetensors counts alone; older ones are fetched only where there is none.
    """
    if not is_hub_id(model):
        return None
    from huggingface_hub import HfApi

    try:
        about = HfApi().model_info(model, files_metadata=True, timeout=10)
    except Exception:  # the hub's, httpx's and the disk's errors have no family; what they say comes with the download
        return None
    sizes = {file.rfilename: file.size or 0 for file in about.siblings or ()}
    safe = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    weights = safe or {name: size for name, size in sizes.items() if name.startswith("pytorch_model")}
    others = sum(size for name, size in sizes.items() if name.endswith((".json", ".model", ".jinja", ".txt")))
    counted = about.safetensors.total if about.safetensors else sum(weights.values()) // 2
    return HubModel(int(counted), sum(weights.values()) + others)


def check_room(model: str, cost: BaseCost, precision: str, folder: Path | None = None) -> None:
    """Check before a download that the disk has room for it, and the machine memory for the weights.

    Raises:
        Unavailable: if the disk is too small.
        OutOfMemory: if the weights would not fit into all memory of this machine, used or not.
    """
    disk = next(path for path in (folder or home(), *(folder or home()).parents) if path.exists())
    free = shutil.disk_usage(disk).free
    if free < cost.download_bytes:
        raise Unavailable(
            f"{model} is {cost.download_bytes / 1e9:.1f} GB to fetch, and {free / 1e9:.1f} GB are free on the disk of "
            f"{disk}; make room, or set HF_HOME to a folder on another disk"
        )
    need, there = cost.serve_bytes(precision), machine_bytes()
    if need > there:
        smaller = [p for p in BYTES_PER_PARAMETER if cost.serve_bytes(p) <= there and p != "float16"]
        ways = f"set {VARIABLE}={smaller[0]}, or " if smaller else ""
        raise OutOfMemory(
            f"{model} needs about {need / 1e9:.1f} GB of memory in {precision}, and this machine has {there / 1e9:.1f} "
            f"GB, so nothing was fetched; {ways}ask it behind a server (server:NAME)"
        )


def machine_bytes() -> int:
    """All memory that weights may use: the processor's, or the accelerators' if they have more."""
    import torch

    own: int = psutil.virtual_memory().total
    if not torch.cuda.is_available():
        return own
    return max(own, sum(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())))


@cache
def read_speed() -> float:
    """Bytes a second that this processor reads from memory, all threads together."""
    threads = psutil.cpu_count(logical=False) or 1
    parts = [np.ones(_READ_BYTES // 4 // threads, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return max(_READ_BYTES / _seconds(lambda: list(pool.map(np.max, parts))) for _ in range(3))


@cache
def product_speed() -> float:
    """Operations a second of this processor in a large matrix product in float32."""
    one = np.ones((_PRODUCT_SIZE, _PRODUCT_SIZE), np.float32)
    return max(2 * _PRODUCT_SIZE**3 / _seconds(lambda: one @ one) for _ in range(3))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
