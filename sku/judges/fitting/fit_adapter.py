"""Train the embedded judge: labelled answers become a LoRA adapter and a head on the default base.

Prompts on the test side of `splits.py` are never trained on; the card's agreement with people is measured on them.
Severity is graded, so it is learnt as a probability. Knows nothing of variants and unlearning.
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
from torch import Tensor

from sku.core import runs, storage
from sku.judges.embedded import JudgeHead, encode_for_judge, pool_features
from sku.judges.fitting.examples import EncodedExample, draw_batches, make_examples
from sku.judges.fitting.examples import judge_loss as labelled_loss
from sku.judges.fitting.labels import LabelledAnswer
from sku.models.batching import EncodedPair, collate
from sku.models.hidden_states import keep_answer_tokens
from sku.models.variant_model import VariantModel

StepReport = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class JudgeConfig:
    """How the judge is trained."""

    passes: int = 3
    """Over answers whose harm people were asked about."""
    rubric_passes: int = 2
    """Over answers of the default model's own variants, rated by our rubric."""
    refusal_passes: int = 1
    """Over those labelled for refusal, which are easier."""
    off_topic: int = 200
    """Answers put to other prompts: people call an answer to something else a refusal (PyRIT's rubric)."""
    batch_size: int = 8
    learning_rate: float = 5e-4
    warm_up: float = 0.05
    """Share of the steps in which the rate rises."""
    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] = ("q_proj", "v_proj", "up_proj", "down_proj")
    refusal_weight: float = 0.3
    bfloat16: bool = True
    """Whether products are computed in half precision: a third quicker on a processor that knows it."""
    seed: int = 0


class _Fit:
    """The model in training and its optimiser."""

    def __init__(self, model: VariantModel, config: JudgeConfig) -> None:
        self.model, self.config = model, config
        lora = LoraConfig(
            r=config.rank, lora_alpha=config.alpha, target_modules=list(config.targets), task_type="CAUSAL_LM"
        )
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.peft_model = get_peft_model(model.network, lora).eval()
            self.head = JudgeHead(model.network.config.hidden_size)
        with torch.no_grad():
            self.head.weight.mul_(0.1)  # begin undecided
        self.head.to(model.device)
        self.parameters = [p for p in self.peft_model.parameters() if p.requires_grad] + list(self.head.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.learning_rate, weight_decay=0.01)

    def logits(self, rows: Sequence[EncodedPair]) -> Tensor:
        """`[B, 2]`: harmful, refuses."""
        batch = collate(list(rows)).to(self.model.device)
        body = self.peft_model.get_base_model().base_model
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            hidden = body(batch.input_ids, batch.attention_mask, use_cache=False).last_hidden_state
        scored: Tensor = self.head(torch.stack([pool_features(read) for read in keep_answer_tokens(rows, hidden)]))
        return scored

    def step(self, batch: Sequence[EncodedExample], rate: float) -> float:
        """One step; its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        encoded, known = zip(*batch, strict=True)
        loss = labelled_loss(self.logits(encoded), known, self.config.refusal_weight)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def save(self, out: Path) -> None:
        """Adapter and head in half precision."""
        (out / "adapter").mkdir(parents=True, exist_ok=True)
        self.peft_model.peft_config["default"].base_model_name_or_path = ""
        self.peft_model.save_pretrained(out / "adapter")
        (out / "adapter" / "README.md").unlink(missing_ok=True)
        weights = {n: t.half().contiguous() for n, t in get_peft_model_state_dict(self.peft_model).items()}
        save_file(weights, out / "adapter" / "adapter_model.safetensors", metadata={"format": "pt"})
        save_file({n: t.half() for n, t in self.head.state_dict().items()}, out / "head.safetensors")


def fit_adapter(
    model: VariantModel,
    out: Path,
    labelled: Sequence[LabelledAnswer],
    config: JudgeConfig,
    report: StepReport = lambda _: None,
) -> None:
    """Train and write `adapter/`, `head.safetensors` and `fit.json` into `out`.

    Args:
        model: a base without adapters; it is used up by the training.
        out: a folder; what is in it is replaced.
        labelled: answers with labels; those to test prompts are left out.
        config: how.
        report: told of every tenth step.

    Raises:
        ValueError: if no labelled answer is left.
    """
    draw = random.Random(config.seed)
    passes = (config.passes, config.rubric_passes, config.refusal_passes)
    groups = make_examples(labelled, config.off_topic, draw).groups(partial(encode_for_judge, model.tokenizer), passes)
    schedule = draw_batches(groups, config.batch_size, draw)
    training = _Fit(model, config)
    began, recent = time.perf_counter(), 0.0
    for step, batch in enumerate(schedule):
        share = step / len(schedule)
        rate = config.learning_rate * min((share + 1e-3) / config.warm_up, 1 - share)
        recent += training.step(batch, rate)
        if step % 10 == 9:
            seconds = time.perf_counter() - began
            report({"step": step + 1, "steps": len(schedule), "loss": recent / 10, "seconds": seconds})
            recent = 0.0
        if step % 100 == 99:
            training.save(out)
    training.save(out)
    facts = {
        "config": dataclasses.asdict(config),
        "base_fingerprint": model.fingerprint,
        "labelled": sum(len(rows) for rows, _ in groups),
        "seconds": time.perf_counter() - began,
        "packages": runs.package_versions(),
    }
    storage.write_atomically(out / "fit.json", json.dumps(facts, indent=2) + "\n")
