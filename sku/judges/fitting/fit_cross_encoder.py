"""Train the cross-encoder of the embedded judge: labelled answers become a LoRA adapter and a head, in minutes.

Prompts on the test side of `splits.py` are never trained on. Knows nothing of variants and unlearning.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

from sku.core import runs, storage
from sku.judges.cross_encoder import CrossEncoder, CrossHead, encode_for_cross_encoder, pool_hidden
from sku.judges.fitting.examples import draw_batches, judge_loss, make_examples
from sku.judges.fitting.fit_refusal_head import fit_refusal_head
from sku.judges.fitting.labels import LabelledAnswer

StepReport = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class CrossConfig:
    """How the cross-encoder is trained."""

    passes: int = 6
    """Over answers whose harm people were asked about."""
    rubric_passes: int = 3
    """Over answers of the default model's own variants, rated by our rubric."""
    refusal_passes: int = 2
    """Over those labelled for refusal, which are easier."""
    off_topic: int = 200
    """Answers put to other prompts (`examples`)."""
    batch_size: int = 16
    learning_rate: float = 1e-3
    warm_up: float = 0.06
    """Share of the steps in which the rate rises."""
    rank: int = 24
    alpha: int = 48
    dropout: float = 0.1
    targets: tuple[str, ...] = ("query", "key", "value", "dense")
    refusal_weight: float = 0.5
    bfloat16: bool = True
    """As in `JudgeConfig`."""
    seed: int = 0


def fit_cross_encoder(
    minilm: Path,
    out: Path,
    labelled: Sequence[LabelledAnswer],
    config: CrossConfig,
    report: StepReport = lambda _: None,
) -> None:
    """Train and write adapter, `head.safetensors` and `fit.json` into `out`.

    Args:
        minilm: folder of the sentence embedder (`pretrained.provision_embedder`).
        out: a folder; what is in it is replaced.
        labelled: answers with labels; those to test prompts are left out.
        config: how.
        report: told of every tenth step.

    Raises:
        ValueError: if no labelled answer is left.
    """
    draw = random.Random(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    passes = (config.passes, config.rubric_passes, config.refusal_passes)
    groups = make_examples(labelled, config.off_topic, draw).groups(
        partial(encode_for_cross_encoder, tokenizer), passes
    )
    schedule = draw_batches(groups, config.batch_size, draw)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
            exclude_modules=["pooler.dense"],
        )
        body = get_peft_model(AutoModel.from_pretrained(minilm), lora).train()
        head = CrossHead(body.config.hidden_size)
        parameters = [p for p in body.parameters() if p.requires_grad] + list(head.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.01)
        began, recent = time.perf_counter(), 0.0
        for step, batch in enumerate(schedule):
            share = step / len(schedule)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min((share + 1e-3) / config.warm_up, 1 - share)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
                read = pool_hidden(body, [row for row, _ in batch])
            features = torch.nn.functional.dropout(read.float(), config.dropout)
            total = judge_loss(head(features), [known for _, known in batch], config.refusal_weight)
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            recent += float(total.detach())
            if step % 10 == 9:
                seconds = time.perf_counter() - began
                report({"step": step + 1, "steps": len(schedule), "loss": recent / 10, "seconds": seconds})
                recent = 0.0
        _save(body, head, out)
        reader = CrossEncoder(minilm, out)
        fit_refusal_head(reader, labelled)
        save_head(reader.head, out)
    facts = {
        "config": dataclasses.asdict(config),
        "embedder": minilm.name,
        "labelled": sum(len(rows) for rows, _ in groups),
        "seconds": time.perf_counter() - began,
        "packages": runs.package_versions(),
    }
    storage.write_atomically(out / "fit.json", json.dumps(facts, indent=2) + "\n")


def _save(body: Any, head: CrossHead, out: Path) -> None:
    """Adapter and head in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    body.peft_config["default"].base_model_name_or_path = ""
    body.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    weights = {name: t.half().contiguous() for name, t in get_peft_model_state_dict(body).items()}
    save_file(weights, out / "adapter_model.safetensors", metadata={"format": "pt"})
    save_head(head, out)


def save_head(head: CrossHead, out: Path) -> None:
    """In half precision."""
    save_file({name: t.half().contiguous() for name, t in head.state_dict().items()}, out / "head.safetensors")
