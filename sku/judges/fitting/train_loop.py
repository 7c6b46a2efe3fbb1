"""The training loop of both networks of the embedded judge: AdamW, gradients clipped, a rate that rises then falls.

Knows no network: the caller hands over its parameters and a function that gives the logits of a batch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sku.judges.fitting.examples import EncodedExample, draw_batches, judge_loss, make_examples
from sku.judges.fitting.labels import LabelledAnswer
from sku.models.batching import EncodedPair

StepReport = Callable[[dict[str, Any]], None]
"""Receives `step`, `steps`, the mean `loss` since the last report and `seconds` since the start."""
STEPS_PER_REPORT = 10
STEPS_PER_SAVE = 100
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class FitConfig:
    """How one network of the judge is trained."""

    passes: int
    """Passes over answers that people rated for harm."""
    rubric_passes: int
    """Passes over answers of the default model's own variants, rated by our rubric."""
    refusal_passes: int
    """Passes over answers labelled for refusal, which are easier."""
    batch_size: int
    """Answers per step."""
    learning_rate: float
    """The highest, at the end of the warm-up."""
    warm_up: float
    """Share of the steps in which the learning rate rises."""
    rank: int
    """Of the LoRA adapter."""
    alpha: int
    """Of the LoRA adapter."""
    targets: tuple[str, ...]
    """Names of the linear layers that get a LoRA adapter."""
    refusal_weight: float
    """Weight of the refusal loss; the harm loss has weight 1."""
    dropout: float = 0.0
    """Of the LoRA adapter and of the head's features."""
    off_topic: int = 200
    """How many answers are paired with another prompt and labelled refusals, as PyRIT's rubric has it."""
    bfloat16: bool = True
    """Multiply matrices in half precision: a third faster where the processor supports it."""
    seed: int = 0
    """Decides every draw."""


@dataclass(frozen=True)
class Schedule:
    """Every batch of a training, in order."""

    batches: list[list[EncodedExample]]
    examples: int
    """Different examples in them; most are seen several times."""


def draw_schedule(
    labelled: Sequence[LabelledAnswer], encode: Callable[[str, str], EncodedPair], config: FitConfig
) -> Schedule:
    """Draw the batches of a training from labelled answers.

    Args:
        labelled: answers with labels; those to prompts of the test side are left out.
        encode: turns a prompt and an answer into tokens.
        config: passes, batch size and seed.

    Raises:
        ValueError: if no labelled answer is left.
    """
    draw = random.Random(config.seed)
    passes = (config.passes, config.rubric_passes, config.refusal_passes)
    groups = make_examples(labelled, config.off_topic, draw).groups(encode, passes)
    return Schedule(draw_batches(groups, config.batch_size, draw), sum(len(rows) for rows, _ in groups))


def train_on_batches(
    batches: Sequence[Sequence[EncodedExample]],
    logits: Callable[[Sequence[EncodedPair]], Tensor],
    parameters: Sequence[nn.Parameter],
    config: FitConfig,
    report: StepReport,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Take one optimiser step per batch.

    Args:
        batches: in the order of training.
        logits: gives `[B, 2]`, harmful and refusal, for B encoded pairs.
        parameters: what is trained.
        config: learning rate, warm-up and refusal weight.
        report: called every `STEPS_PER_REPORT` steps.
        save: called every `STEPS_PER_SAVE` steps, so that an interrupted training leaves something usable.
    """
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=WEIGHT_DECAY)
    started, recent_loss = time.perf_counter(), 0.0
    for done, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(done, len(batches), config)
        rows, examples = zip(*batch, strict=True)
        loss = judge_loss(logits(rows), examples, config.refusal_weight)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        recent_loss += float(loss.detach())
        step = done + 1
        if step % STEPS_PER_REPORT == 0:
            seconds = time.perf_counter() - started
            report({"step": step, "steps": len(batches), "loss": recent_loss / STEPS_PER_REPORT, "seconds": seconds})
            recent_loss = 0.0
        if step % STEPS_PER_SAVE == 0:
            save()


def learning_rate_at(done: int, steps: int, config: FitConfig) -> float:
    """The learning rate of a step: rises linearly from nearly 0 in the warm-up, then falls linearly towards 0.

    Args:
        done: steps already taken.
        steps: in the whole training.
        config: the highest rate, and the share of the warm-up.
    """
    share = done / steps
    return config.learning_rate * min((share + 1e-3) / config.warm_up, 1 - share)
