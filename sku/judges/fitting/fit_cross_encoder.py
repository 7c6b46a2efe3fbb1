"""Train the embedded judge's cross-encoder: labelled answers become a LoRA adapter and a head, in minutes.

Knows nothing of variants and unlearning.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import dropout
from transformers import AutoModel, AutoTokenizer

from sku.judges.cross_encoder import CROSS_POOLED_STATES, CrossEncoder, encode_for_cross_encoder, pool_hidden
from sku.judges.fitting.fit_files import save_lora, write_fit_record
from sku.judges.fitting.fit_refusal_head import fit_refusal_head
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.fitting.train_loop import FitConfig, StepReport, draw_schedule, train_on_batches
from sku.judges.heads import JudgeHead, save_head
from sku.models.batching import EncodedPair

CROSS_ENCODER_CONFIG = FitConfig(
    passes=6,
    rubric_passes=3,
    refusal_passes=2,
    batch_size=16,
    learning_rate=1e-3,
    warm_up=0.06,
    rank=24,
    alpha=48,
    targets=("query", "key", "value", "dense"),
    refusal_weight=0.5,
    dropout=0.1,
)


class _CrossEncoderInTraining:
    """The sentence embedder with a new LoRA adapter, and a new head."""

    def __init__(self, minilm: Path, config: FitConfig) -> None:
        self.config = config
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
            exclude_modules=["pooler.dense"],
        )
        self.body = get_peft_model(AutoModel.from_pretrained(minilm), lora).train()
        self.head = JudgeHead(CROSS_POOLED_STATES * self.body.config.hidden_size)
        self.parameters = [p for p in self.body.parameters() if p.requires_grad] + list(self.head.parameters())

    def logits(self, rows: Sequence[EncodedPair]) -> Tensor:
        """Harmful and refusal: `[B, 2]`."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bfloat16):
            features = pool_hidden(self.body, rows)
        logits: Tensor = self.head(dropout(features.float(), self.config.dropout))
        return logits


def fit_cross_encoder(
    minilm: Path,
    out: Path,
    labelled: Sequence[LabelledAnswer],
    config: FitConfig = CROSS_ENCODER_CONFIG,
    report: StepReport = lambda _: None,
) -> None:
    """Train, and write the adapter, `head.safetensors` and `fit.json` into `out`.

    Args:
        minilm: folder of the sentence embedder (`pretrained.provision_embedder`).
        out: a folder; its files are replaced.
        labelled: answers with labels; those to prompts of the test side are left out.
        config: the settings.
        report: called every tenth step.

    Raises:
        ValueError: if no labelled answer is left.
    """
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    schedule = draw_schedule(labelled, partial(encode_for_cross_encoder, tokenizer), config)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # decides the first weights and every dropout
        network = _CrossEncoderInTraining(minilm, config)
        started = time.perf_counter()
        train_on_batches(schedule.batches, network.logits, network.parameters, config, report)
        save_lora(network.body, out)
        save_head(network.head, out)
        trained = CrossEncoder(minilm, out)
        fit_refusal_head(trained, labelled)
        save_head(trained.head, out)
    write_fit_record(out, {"embedder": minilm.name}, config, schedule, time.perf_counter() - started)
