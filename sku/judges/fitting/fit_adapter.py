"""Train the embedded judge's adapter: labelled answers become a LoRA adapter and a head on the default base.

Severity is graded, so it is learnt as a probability. Knows nothing of variants and unlearning.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from sku.judges.embedded import ADAPTER_FOLDER, ADAPTER_POOLED_STATES, encode_for_judge, pool_features
from sku.judges.fitting.fit_files import save_lora, write_fit_record
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.fitting.train_loop import FitConfig, StepReport, draw_schedule, train_on_batches
from sku.judges.heads import JudgeHead, save_head
from sku.models.batching import EncodedPair, collate
from sku.models.hidden_states import keep_answer_tokens
from sku.models.variant_model import VariantModel

ADAPTER_CONFIG = FitConfig(
    passes=3,
    rubric_passes=2,
    refusal_passes=1,
    batch_size=8,
    learning_rate=5e-4,
    warm_up=0.05,
    rank=16,
    alpha=32,
    targets=("q_proj", "v_proj", "up_proj", "down_proj"),
    refusal_weight=0.3,
)


class _AdapterInTraining:
    """The base with a new LoRA adapter, and a new head."""

    def __init__(self, model: VariantModel, config: FitConfig) -> None:
        self.device, self.config = model.device, config
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.peft_model = get_peft_model(model.network, lora).eval()
            self.head = JudgeHead(ADAPTER_POOLED_STATES * model.network.config.hidden_size)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # start undecided
        self.head.to(model.device)
        self.parameters = [p for p in self.peft_model.parameters() if p.requires_grad] + list(self.head.parameters())

    def logits(self, rows: Sequence[EncodedPair]) -> Tensor:
        """Harmful and refusal: `[B, 2]`."""
        batch = collate(list(rows)).to(self.device)
        body = self.peft_model.get_base_model().base_model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            hidden = body(batch.input_ids, batch.attention_mask, use_cache=False).last_hidden_state
        logits: Tensor = self.head(torch.stack([pool_features(one) for one in keep_answer_tokens(rows, hidden)]))
        return logits

    def save(self, out: Path) -> None:
        """Write adapter and head."""
        save_lora(self.peft_model, out / ADAPTER_FOLDER)
        save_head(self.head, out)


def fit_adapter(
    model: VariantModel,
    out: Path,
    labelled: Sequence[LabelledAnswer],
    config: FitConfig = ADAPTER_CONFIG,
    report: StepReport = lambda _: None,
) -> None:
    """Train, and write `adapter/`, `head.safetensors` and `fit.json` into `out`.

    Args:
        model: a base without adapters; training changes it, so it cannot be used afterwards.
        out: a folder; its files are replaced.
        labelled: answers with labels; those to prompts of the test side are left out.
        config: the settings.
        report: called every tenth step.

    Raises:
        ValueError: if no labelled answer is left.
    """
    schedule = draw_schedule(labelled, partial(encode_for_judge, model.tokenizer), config)
    network = _AdapterInTraining(model, config)
    started = time.perf_counter()
    train_on_batches(schedule.batches, network.logits, network.parameters, config, report, partial(network.save, out))
    network.save(out)
    write_fit_record(out, {"base_fingerprint": model.fingerprint}, config, schedule, time.perf_counter() - started)
