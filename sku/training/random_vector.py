"""The random-vector control: Gaussian noise with the norm of a given adapter in every layer.

On a small model, noise alone does part of the forgetting (task arithmetic, arXiv:2212.04089, GPT-2 small). So every
claim about a task vector needs a comparison with this control.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sku.core import runs
from sku.core.config import TrainConfig
from sku.core.peft_folders import PEFT_CONFIG, PEFT_WEIGHTS
from sku.core.runs import Manifest, Run
from sku.models.adapter_check import read_tensors
from sku.training.vector_norms import product_norm


def make_random_vector(out: Path, config: TrainConfig) -> Run:
    """Write a run whose adapter has Gaussian factors, scaled to the norms of the adapter `config.like`.

    Raises:
        ValueError: if `config.like` is not a finished run.
        FileExistsError: if `out` already holds an adapter.
    """
    like = runs.find_run(str(config.like))
    if (out / "adapter").exists():
        raise FileExistsError(f"{out} already holds an adapter; name another folder")
    generator = torch.Generator().manual_seed(config.seed)
    tensors = read_tensors(like.adapter)
    noise: dict[str, Tensor] = {}
    for name in sorted(tensors):
        if ".lora_A." not in name:
            continue
        a, b = tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")]
        random_a, random_b = (torch.randn(t.shape, generator=generator) for t in (a, b))
        scale = product_norm(a, b) / product_norm(random_a, random_b)
        noise[name] = random_a.to(a.dtype)
        noise[name.replace(".lora_A.", ".lora_B.")] = (random_b * scale).to(b.dtype)
    (out / "adapter").mkdir(parents=True)
    save_file(noise, out / "adapter" / PEFT_WEIGHTS)
    shutil.copy(like.adapter / PEFT_CONFIG, out / "adapter" / PEFT_CONFIG)
    manifest = Manifest(
        method="random",
        config=config.to_dict(),
        base=like.manifest.base,
        base_fingerprint=like.manifest.base_fingerprint,
        status="finished",
        default_coefficient=like.manifest.default_coefficient,
        packages=runs.package_versions(),
        note=f"norms of {like.name} ({like.manifest.method})",
    )
    runs.write_manifest(out, manifest)
    return Run(out, manifest)
