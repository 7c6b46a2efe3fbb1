"""The processes that share the work: one, or as many as `torchrun` or `accelerate launch` started.

They talk through gloo on processors and nccl on CUDA GPUs. Accelerate does all of it; this module only asks it in one
way.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, InitProcessGroupKwargs

_LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the first process writes the base's own answers, which takes minutes to hours."""
_SPLIT_WEIGHTS = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def process_state() -> PartialState:
    """This process among those that share an evaluation."""
    return PartialState(cpu=_on_processors())


def training_processes() -> Accelerator:
    """This process among those that share a training.

    Raises:
        ValueError: if `accelerate launch` was asked for several processes on processors, and started only one, or for
            processes that share the weights.
    """
    accelerator = Accelerator(cpu=_on_processors(), kwargs_handlers=[InitProcessGroupKwargs(timeout=_LONGEST_WAIT)])
    launched = {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= set(os.environ)
    if accelerator.num_processes == 1 and launched and "WORLD_SIZE" not in os.environ:
        raise ValueError(
            "accelerate launch starts only one process on processors; start several with: torchrun --nproc-per-node 2 "
            "-m sku train"
        )
    require_whole_weights(accelerator.distributed_type)
    return accelerator


def require_whole_weights(kind: DistributedType) -> None:
    """Check that every process holds all weights: probes, checkpoints and adapters read them whole.

    Raises:
        ValueError: if it does not.
    """
    if kind in _SPLIT_WEIGHTS:
        raise ValueError(
            f"training with {kind.value} is not supported, because the weights are split among the processes; use "
            "torchrun, or accelerate launch --multi_gpu, with --set gradient_checkpointing=true --set dtype=bfloat16"
        )


def _on_processors() -> bool:
    """Whether there is no GPU. Without being told, accelerate would let every process of `torchrun` work alone."""
    return not torch.accelerator.is_available()
